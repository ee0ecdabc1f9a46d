package dpop_test

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
)

// What is secret in a URI, its userinfo, query and fragment, is in no error and no line of the log, whoever has written it there
// and however its mark is encoded.
func TestRefusedTargetHasNoSecret(t *testing.T) {
	const secret = "hunter2"
	var log strings.Builder
	a := lab.NewDPoPAPI(t, dpop.Options{}, func(o *popauth.Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	const site = "https://resource.example.org"
	for _, test := range []struct{ name, htu, target string }{
		{name: "query of no URI", htu: site + "/%zz?access_token=" + secret, target: "/orders"},
		{name: "query of another scheme", htu: "ftp://resource.example.org/?access_token=" + secret, target: "/orders"},
		{name: "query of a path", htu: "/orders?access_token=" + secret, target: "/orders"},
		{name: "fragment of no URI", htu: "://#access_token=" + secret, target: "/orders"},
		{name: "userinfo", htu: "https://user:" + secret + "@resource.example.org/orders", target: "/orders"},
		{name: "userinfo alone", htu: "https:user:" + secret + "@resource.example.org", target: "/orders"},
		{name: "userinfo without scheme", htu: "//user:" + secret + "@resource.example.org/orders", target: "/orders"},
		{name: "encoded query", htu: site + "/orders%3Faccess_token=" + secret, target: "/orders"},
		{name: "encoded query twice", htu: site + "/orders%253faccess_token=" + secret, target: "/orders"},
		{name: "encoded fragment", htu: site + "/orders%23access_token=" + secret, target: "/orders"},
		{name: "encoded query of the request", htu: site + "/orders", target: "/orders%3Faccess_token=" + secret},
		{name: "query of the request", htu: site + "/carts", target: "/orders?q=" + secret},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", test.target, nil)
			r.Host = "resource.example.org"
			r.TLS = &tls.ConnectionState{HandshakeComplete: true}
			r.Header.Set("Authorization", "DPoP "+a.Token)
			r.Header.Set("DPoP", a.Key.Proof("GET", test.htu, a.Token, lab.Fields{"htu": test.htu}))
			log.Reset()
			_, err := a.Guard.Check(r)
			var e *popauth.Error
			if !errors.As(err, &e) || e.Reason != popauth.ErrProofTarget {
				t.Fatalf("got %v, want %v", err, popauth.ErrProofTarget)
			}
			a.Guard.Refusal(r, err)
			for what, got := range map[string]string{"error": err.Error(), "line": log.String()} {
				if got == "" || strings.Contains(got, secret) {
					t.Errorf("%s: got %q, with the secret", what, got)
				}
			}
		})
	}
}
