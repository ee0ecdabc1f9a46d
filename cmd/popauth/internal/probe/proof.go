package probe

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"maps"
	"time"
)

// proof is what the owner's client would send, until something is changed.
type proof struct {
	key            *Key
	header, claims map[string]any // replace members, or leave them out where the value is omit
	nonce          bool           // the server's last one is put in
	text           string         // sent instead
	rewrite        func(string) string
}

type omitted struct{}

var omit = omitted{}

// write makes the proof for a request.
func (p *proof) write(method, url, token, nonce string) (string, error) {
	if p.text != "" {
		return p.text, nil
	}
	sum := sha256.Sum256([]byte(token))
	header := map[string]any{"typ": "dpop+jwt", "alg": p.key.alg, "jwk": p.key.jwk}
	claims := map[string]any{"jti": rand.Text(), "htm": method, "htu": url, "iat": time.Now().Unix(), "ath": encode(sum[:])}
	if p.nonce && nonce != "" {
		claims["nonce"] = nonce
	}
	h, err := json.Marshal(edited(header, p.header))
	if err != nil {
		return "", err
	}
	c, err := json.Marshal(edited(claims, p.claims))
	if err != nil {
		return "", err
	}
	text, err := p.key.sealed(h, c)
	if err == nil && p.rewrite != nil {
		text = p.rewrite(text)
	}
	return text, err
}

func edited(members, edits map[string]any) map[string]any {
	maps.Copy(members, edits)
	maps.DeleteFunc(members, func(_ string, v any) bool { return v == omit })
	return members
}
