package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// jwtParts are a JWT's header and claims.
type jwtParts struct {
	header, claims   map[string]any
	rawHeader, claim []byte
}

func splitJWT(token string) (jwtParts, error) {
	var p jwtParts
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return p, fmt.Errorf("%d parts, want the three of a JWT (RFC 7515, section 7.1)", len(parts))
	}
	for i, into := range []*map[string]any{&p.header, &p.claims} {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return p, fmt.Errorf("part %d of the JWT is not base64url without padding (RFC 7515, section 2)", i+1)
		}
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		if err := d.Decode(into); err != nil || *into == nil {
			return p, fmt.Errorf("part %d of the JWT is no JSON object (RFC 7519, section 7.2)", i+1)
		}
		if i == 0 {
			p.rawHeader = b
		} else {
			p.claim = b
		}
	}
	return p, nil
}
