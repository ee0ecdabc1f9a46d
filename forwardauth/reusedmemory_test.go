package forwardauth_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/reused"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// Behind a server that reads each question into the memory of the one before, an answer is about its own: the token, the
// certificate, the path and the claims.
func TestForwardAuthInReusedMemory(t *testing.T) {
	l := newLab(t)
	l.o.Claims = map[string]string{"X-Auth-Tenant": "tenant"}
	names := []string{"alice", "bobby", "carol"}
	clients, tokens := make([]*popauthtest.Client, len(names)), make([]string, len(names))
	for i, name := range names {
		clients[i] = popauthtest.SelfSigned(t, name) // of one size, so that their headers are at the same place
		for len(clients[i].Certificate.Certificate[0]) != len(clients[0].Certificate.Certificate[0]) {
			clients[i] = popauthtest.SelfSigned(t, name)
		}
		tokens[i] = l.issuer.Token(clients[i].Bound(), popauthtest.Claims{"sub": name, "tenant": "of " + name})
	}
	var kept []*popauth.Principal
	h := l.endpoint().Authorize(popauth.PolicyFunc(func(r *http.Request, p *popauth.Principal) error {
		if r.URL.Path != "/of/"+p.Subject {
			return errors.New("another's")
		}
		own, _ := popauth.Claims[map[string]any](p)
		kept = append(kept, &popauth.Principal{Subject: p.Subject, Issuer: p.Issuer, Certificate: p.Certificate})
		if own["tenant"] != "of "+p.Subject {
			t.Errorf("got the tenant %v of %s", own["tenant"], p.Subject)
		}
		return nil
	}))
	var b reused.Buffer
	passed := 0
	for _, i := range reused.Order(len(names)) {
		for _, j := range reused.Order(len(names))[:5] {
			for _, k := range reused.Order(len(names))[:5] {
				got := l.answer(h, b.Request(l.asked(header("Authorization", "Bearer "+tokens[i]),
					header("X-Forwarded-Uri", "/of/"+names[k]),
					header("X-Forwarded-Tls-Client-Cert", base64.StdEncoding.EncodeToString(clients[j].Certificate.Certificate[0])))))
				want := http.StatusOK
				switch {
				case i != j:
					want = http.StatusUnauthorized
				case i != k:
					want = http.StatusForbidden
				default:
					passed++
				}
				subject, tenant := got.Header.Get("X-Auth-Subject"), got.Header.Get("X-Auth-Tenant")
				owner, owners := "", ""
				if want == http.StatusOK {
					owner, owners = names[i], "of%20"+names[i]
				}
				if got.StatusCode != want || subject != owner || tenant != owners {
					t.Fatalf("token of %s, certificate of %s, path of %s: got %d, %q, %q, want %d, %q, %q", names[i], names[j], names[k],
						got.StatusCode, subject, tenant, want, owner, owners)
				}
			}
		}
	}
	b.Scribble()
	for _, p := range kept {
		if p.Certificate.Leaf.Subject.CommonName != p.Subject || p.Issuer != l.issuer.URL {
			t.Fatalf("got %s of %s with the certificate of %s, want what it was", p.Subject, p.Issuer,
				p.Certificate.Leaf.Subject.CommonName)
		}
	}
	if passed < len(names) || len(kept) != passed {
		t.Errorf("%d passed, %d kept", passed, len(kept))
	}
}
