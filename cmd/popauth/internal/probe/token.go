package probe

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"strings"
	"time"
)

// token is a JWT as far as it can be read without a key.
type token struct {
	parts          [3]string
	header, claims map[string]any
}

// readToken returns nil for what is no compact JWT: that may be a good token as well.
func readToken(text string) *token {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return nil
	}
	t := &token{parts: [3]string(parts)}
	for i, into := range []*map[string]any{&t.header, &t.claims} {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return nil
		}
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		if d.Decode(into) != nil || *into == nil {
			return nil
		}
	}
	return t
}

// altered is header and claims with these members, as the first two parts of a JWT.
func (t *token) altered(header, claims map[string]any) (h, c []byte) {
	h, err := json.Marshal(edited(maps.Clone(t.header), header))
	if err != nil {
		return nil, nil
	}
	c, err = json.Marshal(edited(maps.Clone(t.claims), claims))
	if err != nil {
		return nil, nil
	}
	return h, c
}

// unsigned is the altered token with the signature given, or the old one.
func (t *token) unsigned(header, claims map[string]any, signature string) string {
	h, c := t.altered(header, claims)
	return encode(h) + "." + encode(c) + "." + signature
}

// resigned is the token with another header, signed by a key that the issuer doesn't have.
func (t *token) resigned(k *Key, header map[string]any) string {
	h, c := t.altered(header, nil)
	text, err := k.sealed(h, c)
	if err != nil {
		return ""
	}
	return text
}

func (t *token) date(claim string) (time.Time, bool) {
	n, ok := t.claims[claim].(json.Number)
	if !ok {
		return time.Time{}, false
	}
	f, err := n.Float64()
	if err != nil || f < 0 || f > 1<<40 {
		return time.Time{}, false
	}
	return time.Unix(int64(f), 0), true
}

// confirmation are the members of cnf.
func (t *token) confirmation() map[string]any {
	cnf, _ := t.claims["cnf"].(map[string]any)
	return cnf
}
