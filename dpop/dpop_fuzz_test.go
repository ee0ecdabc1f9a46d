package dpop_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

func newFuzzAPI(f *testing.F) *lab.DPoPAPI {
	o := &opaque{token: "token"}
	a := lab.NewDPoPAPI(lab.FuzzTB{TB: f}, dpop.Options{Nonces: dpop.StatelessNonces{Secrets: [][]byte{lab.NonceSecret(1)},
		Optional: true}}, func(options *popauth.Options) {
		options.Issuer, options.Audience, options.Keys, options.Verifier = "", nil, nil, o
	})
	o.jkt, a.Token = a.Key.Thumbprint(), o.token
	return a
}

// FuzzProof sends any DPoP header where the RFC's own proof is good: a key that every process of a fuzzer has. Nothing
// else passes, nothing that was sent is reflected, nothing panics.
func FuzzProof(f *testing.F) {
	rfc := readRFC9449(f)
	a := newOpaqueAPI(lab.FuzzTB{TB: f}, &opaque{rfc.Token, rfc.JKT})
	last := rfc.Proofs[2]
	a.Clock.Advance(time.Unix(last.IAT, 0).Sub(a.Clock.Now()))
	for _, p := range rfc.Proofs {
		f.Add(p.Proof)
		f.Add(p.Proof + ".")
		f.Add(strings.ReplaceAll(p.Proof, ".", ".\n"))
	}
	f.Fuzz(func(t *testing.T, proof string) {
		clear(a.Store.Until)
		r := last.request(rfc.Token)
		r.Header.Set("DPoP", proof)
		ran := a.Spy.Ran()
		w := a.Serve(r)
		if a.Spy.Ran() != ran {
			if proof != last.Proof {
				t.Fatalf("VULNERABLE: passed: %q", proof)
			}
			return
		}
		if w.Code != http.StatusUnauthorized || a.Store.Len() != 0 {
			t.Fatalf("got %d, %d proofs used up", w.Code, a.Store.Len())
		}
		if answer := strings.Join(w.Header()["Www-Authenticate"], "\n"); len(proof) > 20 && strings.Contains(answer, proof) {
			t.Fatalf("reflected: %s", answer)
		}
	})
}

// FuzzProofMembers signs any header and payload with the right key: the checks behind the signature.
func FuzzProofMembers(f *testing.F) {
	const placeholder = `"@JWK@"` // each process of a fuzzer has a key of its own
	a := newFuzzAPI(f)
	own, err := json.Marshal(a.Key.JWK())
	if err != nil {
		f.Fatal(err)
	}
	for _, proof := range []string{
		a.Request().Header.Get("DPoP"),
		a.Request(lab.Fields{"nonce": "x", "jti": "\u0000"}).Header.Get("DPoP"),
		a.Request(lab.Fields{"htu": lab.DPoPURL + "/../orders?x#y"}).Header.Get("DPoP"),
	} {
		parts := strings.Split(proof, ".")
		header, _ := base64.RawURLEncoding.DecodeString(parts[0])
		payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
		f.Add(strings.Replace(string(header), string(own), placeholder, 1), string(payload))
	}
	f.Fuzz(func(t *testing.T, header, payload string) {
		clear(a.Store.Until)
		proof := a.Key.Sign([]byte(strings.ReplaceAll(header, placeholder, string(own))), []byte(payload))
		ran := a.Spy.Ran()
		w := a.Serve(a.With(proof))
		if a.Spy.Ran() == ran {
			if w.Code != http.StatusUnauthorized || a.Store.Len() != 0 {
				t.Fatalf("got %d, %d proofs used up", w.Code, a.Store.Len())
			}
			return
		}
		h, p := decodeProof(t, proof)
		_, crit := h["crit"]
		jti, _ := p["jti"].(string)
		issued, _ := p["iat"].(float64)
		age := float64(a.Clock.Now().Unix()) - issued
		if h["typ"] != "dpop+jwt" || h["alg"] != "ES256" || crit || p["htm"] != "GET" || p["ath"] != lab.Ath(a.Token) ||
			jti == "" || len(jti) > 256 || age > 71 || age < -11 {
			t.Fatalf("VULNERABLE: passed: %s %s", header, payload)
		}
		if key, ok := h["jwk"].(map[string]any); !ok || key["d"] != nil || key["x"] != a.Key.JWK()["x"] {
			t.Fatalf("VULNERABLE: passed: %s", header)
		}
	})
}

// FuzzTarget: a request passes with a proof for another target only if that is the same URI, which is then the same
// path for net/http.
func FuzzTarget(f *testing.F) {
	a := newFuzzAPI(f)
	f.Add("/orders", "api.example.com", "https://api.example.com/orders")
	f.Add("/a%2Fb#c", "resource.com/x?", "https://resource.com/a/b")
	f.Add("https://[::1]:443/a/../b;c|d", "", "https://[::1]/b;c%7Cd")
	f.Fuzz(func(t *testing.T, line, host, htu string) {
		if line == "" {
			return // no server has read that
		}
		r := a.Request(lab.Fields{"htu": htu})
		r.Header.Set("Dpop", a.Key.Proof("GET", "", a.Token, popauthtest.Claims{"htu": htu}))
		r.RequestURI, r.Host = line, host
		if u, err := url.ParseRequestURI(line); err == nil {
			r.URL = u
		}
		own := dpop.RequestURL(r)
		if own == nil {
			before := a.Spy.Ran()
			if a.Serve(r); a.Spy.Ran() != before {
				t.Fatalf("VULNERABLE: %q ran without a URL of its own", line)
			}
			return
		}
		if own.Scheme != "https" || own.RawQuery != "" || own.User != nil || !strings.HasPrefix(own.EscapedPath(), "/") ||
			strings.ContainsAny(own.Host, "/?#@\\ ") {
			t.Fatalf("%q %q: got %v", line, host, own)
		}
		if (popauth.RequestLine{}).Check(r) == nil && own.Path != r.URL.Path && own.Path+r.URL.Path != "/" {
			t.Fatalf("%q: a router sees %q, the proof is for %q", line, r.URL.Path, own.Path)
		}
		before := a.Spy.Ran()
		if a.Serve(r); a.Spy.Ran() != before && !strings.EqualFold(htu[:5], "https") {
			t.Fatalf("VULNERABLE: %q %q passed with %q", line, host, htu)
		}
	})
}
