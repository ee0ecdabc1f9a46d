//go:build unix

package soak

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

// Kinds of owners.
const (
	certificateJWT    = "certificate, JWT"
	certificatePOST   = "certificate, JWT, 64 KiB body"
	certificateOpaque = "certificate, opaque"
	proofJWT          = "proof, JWT"
	proofNonceJWT     = "proof with nonce, JWT"
	proofOpaque       = "proof, opaque"
)

// patience is how long a client waits for an answer.
const patience = 15 * time.Second

// owner is a client of the API, with tokens of its own.
type owner struct {
	kind, path string
	registration
	*popauthtest.Client
	key      *popclient.Key // nil if its tokens are bound to the certificate
	binding  string
	http     *http.Client
	body     []byte
	rejected func() // the API doesn't take the token any more; nil if http knows by itself
}

// newOwners registers some of each kind.
func (w *world) newOwners(used *proofs) ([]*owner, error) {
	var all []*owner
	for _, kind := range []struct {
		name string
		n    int
	}{
		{certificateJWT, 4}, {certificatePOST, 2}, {certificateOpaque, 3}, {proofJWT, 4}, {proofNonceJWT, 4}, {proofOpaque, 3},
	} {
		for n := range kind.n {
			name := strings.NewReplacer(",", "", " ", "-").Replace(kind.name) + "-" + string(rune('1'+n))
			o := &owner{
				kind: kind.name, path: plainPath, Client: w.clients.Client(name),
				registration: registration{name: name, opaque: kind.name == certificateOpaque || kind.name == proofOpaque},
			}
			if err := o.equip(w, used, n); err != nil {
				return nil, err
			}
			w.issuer.register(o.Client, o.registration)
			all = append(all, o)
		}
	}
	return all, nil
}

// equip makes the client. Those of proofs without nonces, and every other opaque one, bring tokens of a source, as with
// a library; the others leave all to popclient.MutualTLS.
func (o *owner) equip(w *world, used *proofs, n int) (err error) {
	o.binding = o.Thumbprint()
	switch o.kind {
	case certificatePOST:
		o.body = bytes.Repeat([]byte("soak"), 16<<10)
	case proofJWT, proofOpaque, proofNonceJWT:
		if o.key, err = popclient.GenerateKey("ES256"); err != nil {
			return err
		}
		o.binding = o.key.Thumbprint()
	}
	if o.kind == proofNonceJWT {
		o.path = noncePath
	}
	if o.kind == proofJWT || o.kind == proofOpaque && n%2 == 0 {
		s := &source{config: clientcredentials.Config{
			ClientID: o.name, TokenURL: w.issuer.URL + "/token", AuthStyle: oauth2.AuthStyleInParams,
		}, client: &http.Client{
			Transport: &popclient.Proofs{Key: o.key, Base: w.transport(&o.Certificate)}, Timeout: 5 * time.Second,
		}}
		o.rejected = s.drop
		o.http = &http.Client{Transport: &popclient.DPoP{
			Key: o.key, Source: s, Origins: []string{w.base()}, Base: &tap{w.transport(nil), used},
		}}
		return nil
	}
	transport, err := popclient.NewMutualTLS(popclient.MutualTLSOptions{
		Issuer: w.issuer.URL, ClientID: o.name, Certificate: popclient.StaticCertificate(o.Certificate), Key: o.key,
		Origins: []string{w.base()}, RootCAs: w.servers.Pool(), Timeout: 5 * time.Second,
	})
	o.http = &http.Client{Transport: transport}
	return err
}

// transport makes connections with a certificate, or without one.
func (w *world) transport(c *tls.Certificate) *http.Transport {
	config := &tls.Config{RootCAs: w.servers.Pool(), MinVersion: tls.VersionTLS12}
	if c != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c, nil }
	}
	return &http.Transport{TLSClientConfig: config, MaxIdleConnsPerHost: 32, IdleConnTimeout: 30 * time.Second}
}

// request is one of the owner's, without credentials.
func (o *owner) request(ctx context.Context, base string) (*http.Request, error) {
	method, body := http.MethodGet, io.Reader(nil)
	if o.body != nil {
		method, body = http.MethodPost, bytes.NewReader(o.body)
	}
	r, err := http.NewRequestWithContext(ctx, method, base+o.path, body)
	if err == nil {
		r.Header.Set(senderHeader, "owner")
	}
	return r, err
}

// ask sends one request, and holds the answer to who the owner is.
func (o *owner) ask(base string, record *recorder) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	result := result{kind: o.kind, at: time.Now()}
	defer func() {
		result.took = time.Since(result.at)
		record.owner(result)
	}()
	r, err := o.request(ctx, base)
	if err != nil {
		result.reason = err.Error()
		return
	}
	response, err := o.http.Do(r)
	if err != nil {
		result.reason = failure(err)
		return
	}
	defer response.Body.Close()
	result.status, result.reason, result.instance = response.StatusCode, reason(response), response.Header.Get(instanceHeader)
	if response.StatusCode == http.StatusUnauthorized && o.rejected != nil &&
		strings.Contains(strings.Join(response.Header.Values("WWW-Authenticate"), " "), "invalid_token") {
		o.rejected()
	}
	if response.StatusCode != http.StatusOK {
		return
	}
	var got identity
	if err := json.NewDecoder(response.Body).Decode(&got); err != nil {
		result.status, result.reason = 0, "answer cut off"
		return
	}
	if want := o.identity(); got != want {
		record.report("an owner was answered as another: got %+v, want %+v, by %s", got, want, result.instance)
	}
}

// identity is what the handler must take the owner for.
func (o *owner) identity() identity {
	return identity{Client: o.name, Subject: "sub-" + o.name, Binding: o.binding, Body: int64(len(o.body))}
}

// reason is why a request was refused, as the API or nginx says.
func reason(r *http.Response) string {
	switch why := r.Header.Get(reasonHeader); {
	case r.StatusCode == http.StatusOK:
		return ""
	case why != "":
		return why
	case r.Header.Get(instanceHeader) == "":
		return "nginx"
	}
	return http.StatusText(r.StatusCode)
}

// failure is why there was no answer.
func failure(err error) string {
	switch text := err.Error(); {
	case errors.Is(err, context.DeadlineExceeded) && !strings.Contains(text, "Source"):
		return "no answer in time"
	case strings.Contains(text, "oauth2") || strings.Contains(text, "popclient"):
		return "not sent: the client had no token"
	}
	return "connection ended"
}

// source keeps a token as a careful client does: it gets the next one ahead of time, and goes on with the old one while
// that fails.
type source struct {
	config clientcredentials.Config
	client *http.Client

	mu     sync.Mutex
	token  *oauth2.Token
	paused time.Time // until then no other is asked for
}

func (s *source) Token() (*oauth2.Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	valid := s.token != nil && now.Before(s.token.Expiry)
	if valid && (now.Before(s.token.Expiry.Add(-tokenLife/4)) || now.Before(s.paused)) {
		return s.token, nil
	}
	t, err := s.config.Token(context.WithValue(context.Background(), oauth2.HTTPClient, s.client))
	switch {
	case err == nil:
		s.token = t
	case valid:
		s.paused = time.Now().Add(2 * time.Second)
		return s.token, nil
	}
	return t, err
}

// drop forgets the token, since the API refuses it.
func (s *source) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token = nil
}

// tap keeps proofs that the API has accepted, for thieves.
type tap struct {
	base http.RoundTripper
	used *proofs
}

func (t *tap) RoundTrip(r *http.Request) (*http.Response, error) {
	at := time.Now()
	response, err := t.base.RoundTrip(r)
	if err == nil && response.StatusCode == http.StatusOK {
		t.used.keep(proof{
			at: at, url: r.URL.String(), authorization: r.Header.Get("Authorization"), proof: r.Header.Get("DPoP"),
			instance: response.Header.Get(instanceHeader),
		})
	}
	return response, err
}
