package dpop_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/internal/uri"
)

func TestBaseURL(t *testing.T) {
	for base, prefix := range map[string]string{
		"https://api.example.com":            "https://api.example.com",
		"https://api.example.com/":           "https://api.example.com",
		"HTTPS://API.example.com:443/v1/":    "https://api.example.com/v1",
		"https://api.example.com/v%31/a%2fb": "https://api.example.com/v1/a%2Fb",
		"https://api.example.com/a/../v1":    "https://api.example.com/v1",
		"http://localhost:8080/":             "http://localhost:8080",
	} {
		t.Run(base, func(t *testing.T) {
			a := lab.NewDPoPAPI(t, dpop.Options{BaseURL: base})
			for _, path := range []string{"/", "/orders", "/a%20b", "/orders/?a=1", "/%E2%82%AC", "/a|b"} {
				r := behindProxy(a, path)
				r.Header.Set("DPoP", a.Key.Proof("GET", prefix+path, a.Token))
				a.Accept(t, r)
				for _, htu := range []string{"http://internal:8080" + path, prefix + "/y" + path, prefix + "/x" + path,
					"https://evil.example.com" + path} {
					r := behindProxy(a, path)
					r.Header.Set("DPoP", a.Key.Proof("GET", htu, a.Token))
					a.RefuseProof(t, r, popauth.ErrProofTarget)
				}
			}
		})
	}
}

// behindProxy is a request as a proxy passes it on: without TLS, with a Host of its own, the prefix gone.
func behindProxy(a *lab.DPoPAPI, path string) *http.Request {
	r := httptest.NewRequest("GET", path, nil)
	r.Host = "internal:8080"
	r.Header.Set("Authorization", "DPoP "+a.Token)
	r.Header.Set("X-Forwarded-Host", "evil.example.com")
	r.Header.Set("X-Forwarded-Prefix", "/x")
	return r
}

// Dot segments don't climb out of the prefix to what else the proxy serves.
func TestBaseURLIsNotLeft(t *testing.T) {
	own, err := uri.ParseBase("https://api.example.com/v1")
	if err != nil {
		t.Fatal(err)
	}
	a := lab.NewDPoPAPI(t, dpop.Options{BaseURL: "https://api.example.com/v1"})
	for _, path := range []string{"/../admin", "/%2e%2e/admin", "/x/../../admin"} {
		r := behindProxy(a, path)
		r.Header.Set("DPoP", a.Key.Proof("GET", "https://api.example.com/admin", a.Token))
		a.RefuseLine(t, r)
		if u := own.URL(r); u != nil {
			t.Errorf("%s: got %v", path, u)
		}
	}
}

func TestBaseURLMalformed(t *testing.T) {
	for _, base := range []string{
		"", "/", "api.example.com", "//api.example.com", "ftp://api.example.com", "https://", "https:///v1", "https:api.example.com",
		"https://user@api.example.com", "https://api.example.com?a=1", "https://api.example.com/?", "https://api.example.com/#a",
		"https://api.example.com:99999", "https://ho!st", "https://api.example.com/%zz", "https://a b/", "https://api.example.com/\x7f",
	} {
		if d, err := dpop.New(dpop.Options{BaseURL: base}); err == nil || d != nil ||
			!strings.Contains(err.Error(), "dpop: Options.BaseURL: ") {
			t.Errorf("%q: got %v, %v", base, d, err)
		}
	}
}

func TestOwnURL(t *testing.T) {
	var answer *url.URL
	a := lab.NewDPoPAPI(t, dpop.Options{URL: func(*http.Request) *url.URL { return answer }})
	a.RefuseProof(t, a.Request(), popauth.ErrProofTarget)
	for text, fits := range map[string]bool{
		lab.DPoPURL:                               true,
		lab.DPoPURL + "?a=1#b":                    true,
		"https://user@api.example.com/orders":     true, // of the URL scheme, host and path count
		"https://api.example.com/a%2Fb":           false,
		"https://api.example.com":                 false,
		"/orders":                                 false,
		"mailto:x":                                false,
		"https://api.example.com%2Forders/orders": false,
	} {
		var err error
		if answer, err = url.Parse(text); err != nil {
			answer = &url.URL{Scheme: "https", Host: "api.example.com/orders", Path: "/orders"}
		}
		if fits {
			a.Accept(t, a.Request())
		} else {
			a.RefuseProof(t, a.Request(), popauth.ErrProofTarget)
		}
	}
}
