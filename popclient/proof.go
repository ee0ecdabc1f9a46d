package popclient

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/url"

	"github.com/seed-171ab058/popauth/internal/uri"
)

// claims are those of RFC 9449, section 4.2.
type claims struct {
	ID     string `json:"jti"`
	Method string `json:"htm"`
	URI    string `json:"htu"`
	Issued int64  `json:"iat"`
	Token  string `json:"ath,omitempty"`
	Nonce  string `json:"nonce,omitempty"`
}

var (
	errKey    = errors.New("popclient: no key")
	errURL    = errors.New("popclient: not an http or https URL of an ASCII host and a path")
	errMethod = errors.New("popclient: no method")
)

// Proof makes a proof for one request: query and fragment of target are left out, there is no ath without a token (""),
// as in token requests, and no nonce without one. [DPoP] and [Proofs] do this by themselves; Proof is for requests
// that don't go through an http.Client.
func (k *Key) Proof(method, target, token, nonce string) (string, error) {
	u, err := url.Parse(target)
	if err != nil {
		return "", errURL // the error of net/url quotes what may be secret
	}
	return k.prove(occasion{method: method, url: u, host: u.Host, token: token, nonce: nonce})
}

// occasion is what a proof is for.
type occasion struct {
	method string
	url    *url.URL
	host   string
	token  string // "" without
	nonce  string // "" without
	clock  clock  // the server's, as far as it is known
}

func (k *Key) prove(o occasion) (string, error) {
	if k == nil || k.signer == nil {
		return "", errKey
	}
	if o.method == "" {
		return "", errMethod
	}
	htu, err := target(o.url, o.host)
	if err != nil {
		return "", err
	}
	// rand.Text has the 128 bits that make a jti unique.
	c := claims{ID: rand.Text(), Method: o.method, URI: htu, Issued: o.clock.at(k.now()).Unix(), Nonce: o.nonce}
	if o.token != "" {
		sum := sha256.Sum256([]byte(o.token))
		c.Token = encode(sum[:])
	}
	payload, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	input := k.header + "." + encode(payload)
	signature, err := k.sign([]byte(input))
	if err != nil {
		return "", err
	}
	return input + "." + encode(signature), nil
}

// proveWithin is prove for a request that may end before a signer elsewhere, in a KMS, has answered. Keys in memory don't
// take the time.
func (k *Key) proveWithin(ctx context.Context, o occasion) (string, error) {
	if k == nil || k.places == nil {
		return k.prove(o)
	}
	return signWithin(ctx, k.places, func() (string, error) { return k.prove(o) })
}

// target is the htu: what the server gets to see, not its normal form, since there are servers that compare without
// making one. What has no normal form at all would be refused by every server that makes one.
func target(u *url.URL, host string) (string, error) {
	path := u.EscapedPath()
	if path == "" {
		path = "/" // which is what net/http sends
	}
	if _, err := uri.Join(u.Scheme, host, path); err != nil || u.Opaque != "" {
		return "", errURL
	}
	return u.Scheme + "://" + host + path, nil
}
