package popauth_test

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
	"github.com/seed-171ab058/popauth/popauthtest"
)

func newFuzzAPI(f *testing.F) *dpopAPI {
	o := &opaque{token: "token"}
	a := newDPoPAPI(fuzzTB{f}, dpop.Options{Nonces: dpop.StatelessNonces{Secrets: [][]byte{nonceSecret(1)}, Optional: true}}, func(options *popauth.Options) {
		options.Issuer, options.Audience, options.Keys, options.Verifier = "", nil, nil, o
	})
	o.jkt, a.token = a.key.Thumbprint(), o.token
	return a
}

// FuzzProof sends any DPoP header where the RFC's own proof is good: a key that every process of a fuzzer has. Nothing
// else passes, nothing that was sent is reflected, nothing panics.
func FuzzProof(f *testing.F) {
	rfc := readRFC9449(f)
	a := newOpaqueAPI(fuzzTB{f}, &opaque{rfc.Token, rfc.JKT})
	last := rfc.Proofs[2]
	a.clock.Advance(time.Unix(last.IAT, 0).Sub(a.clock.Now()))
	for _, p := range rfc.Proofs {
		f.Add(p.Proof)
		f.Add(p.Proof + ".")
		f.Add(strings.ReplaceAll(p.Proof, ".", ".\n"))
	}
	f.Fuzz(func(t *testing.T, proof string) {
		clear(a.store.until)
		r := last.request(rfc.Token)
		r.Header.Set("DPoP", proof)
		ran := a.spy.Ran()
		w := a.serve(r)
		if a.spy.Ran() != ran {
			if proof != last.Proof {
				t.Fatalf("VULNERABLE: passed: %q", proof)
			}
			return
		}
		if w.Code != http.StatusUnauthorized || a.store.len() != 0 {
			t.Fatalf("got %d, %d proofs used up", w.Code, a.store.len())
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
	own, err := json.Marshal(a.key.JWK())
	if err != nil {
		f.Fatal(err)
	}
	for _, proof := range []string{
		a.request().Header.Get("DPoP"),
		a.request(fields{"nonce": "x", "jti": "\u0000"}).Header.Get("DPoP"),
		a.request(fields{"htu": dpopURL + "/../orders?x#y"}).Header.Get("DPoP"),
	} {
		parts := strings.Split(proof, ".")
		header, _ := base64.RawURLEncoding.DecodeString(parts[0])
		payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
		f.Add(strings.Replace(string(header), string(own), placeholder, 1), string(payload))
	}
	f.Fuzz(func(t *testing.T, header, payload string) {
		clear(a.store.until)
		proof := a.key.Sign([]byte(strings.ReplaceAll(header, placeholder, string(own))), []byte(payload))
		ran := a.spy.Ran()
		w := a.serve(a.with(proof))
		if a.spy.Ran() == ran {
			if w.Code != http.StatusUnauthorized || a.store.len() != 0 {
				t.Fatalf("got %d, %d proofs used up", w.Code, a.store.len())
			}
			return
		}
		h, p := decodeProof(t, proof)
		_, crit := h["crit"]
		jti, _ := p["jti"].(string)
		issued, _ := p["iat"].(float64)
		age := float64(a.clock.Now().Unix()) - issued
		if h["typ"] != "dpop+jwt" || h["alg"] != "ES256" || crit || p["htm"] != "GET" || p["ath"] != ath(a.token) ||
			jti == "" || len(jti) > 256 || age > 71 || age < -11 {
			t.Fatalf("VULNERABLE: passed: %s %s", header, payload)
		}
		if key, ok := h["jwk"].(map[string]any); !ok || key["d"] != nil || key["x"] != a.key.JWK()["x"] {
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
		r := a.request(fields{"htu": htu})
		r.Header.Set("Dpop", a.key.Proof("GET", "", a.token, popauthtest.Claims{"htu": htu}))
		r.RequestURI, r.Host = line, host
		if u, err := url.ParseRequestURI(line); err == nil {
			r.URL = u
		}
		own := dpop.RequestURL(r)
		if own == nil {
			before := a.spy.Ran()
			if a.serve(r); a.spy.Ran() != before {
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
		before := a.spy.Ran()
		if a.serve(r); a.spy.Ran() != before && !strings.EqualFold(htu[:5], "https") {
			t.Fatalf("VULNERABLE: %q %q passed with %q", line, host, htu)
		}
	})
}
