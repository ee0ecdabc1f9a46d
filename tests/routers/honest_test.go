package routers_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// honest are targets as clients write them, and the path that each router's handler sees.
var honest = map[string]string{
	"/admin/alice":                  "/admin/alice",
	"/admin/alice%40example.com":    "/admin/alice@example.com", // encodeURIComponent
	"/admin/12%3A30":                "/admin/12:30",
	"/admin/12:30":                  "/admin/12:30",
	"/admin/a%2Bb":                  "/admin/a+b",
	"/admin/a+b":                    "/admin/a+b",
	"/admin/%7Ealice":               "/admin/~alice",
	"/admin/~alice":                 "/admin/~alice",
	"/admin/report%20(1)":           "/admin/report (1)",
	"/admin/report%20%281%29":       "/admin/report (1)",
	"/admin/J%C3%BCrgen%20M":        "/admin/Jürgen M",
	"/admin/j%c3%bcrgen!*'":         "/admin/jürgen!*'",
	"/admin/a%2Cb%3D1%26%24":        "/admin/a,b=1&$",
	"/admin/100%25":                 "/admin/100%",
	"/admin/what%3F%23":             "/admin/what?#",
	"/admin/%F0%9F%98%80%20%5B1%5D": "/admin/😀 [1]",
	"/%61dmin/1?next=https%3A%2F%2Fexample.com%2F..": "/admin/1",
}

// What honest clients send passes Handler, each router and a Guard inside or outside of it, for a bearer token and a
// DPoP proof of what was sent, and each handler sees one path.
func TestHonestSpellings(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	o := issuer.Options()
	proofs, err := dpop.New(dpop.Options{URL: dpop.RequestURL})
	if err != nil {
		t.Fatal(err)
	}
	o.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, proofs}
	g, err := popauth.New(o)
	if err != nil {
		t.Fatal(err)
	}
	key := popauthtest.NewProofKey(t, "ES256")
	bearer, bound := issuer.Token(), issuer.Token(key.Bound())
	say := func(route string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, route+" "+r.URL.Path) })
	}
	for name, k := range kinds() {
		for place, h := range map[string]http.Handler{
			"Guard inside":  k.build(k.routes, func(route string) http.Handler { return g.Authenticate(say(route)) }),
			"Guard outside": g.Authenticate(k.build(k.routes, say)),
			"both":          g.Authenticate(k.build(k.routes, func(route string) http.Handler { return g.Authenticate(say(route)) })),
		} {
			server := httptest.NewServer(popauth.RequestLine{}.Handler(h))
			t.Cleanup(server.Close)
			for target, path := range honest {
				sent, _, _ := strings.Cut(target, "?")
				for scheme, header := range map[string]http.Header{
					"Bearer":               {"Authorization": {"Bearer " + bearer}},
					"DPoP":                 {"Authorization": {"DPoP " + bound}, "Dpop": {key.Proof("GET", server.URL+sent, bound)}},
					"DPoP of another path": {"Authorization": {"DPoP " + bound}, "Dpop": {key.Proof("GET", server.URL+"/close", bound)}},
				} {
					status, body := get(t, server, target, header)
					switch {
					case scheme == "DPoP of another path":
						if status != http.StatusUnauthorized || strings.Contains(body, path) {
							t.Errorf("VULNERABLE: %s, %s, %s: got %d %q for %s", name, place, target, status, body, scheme)
						}
					case status != http.StatusOK || body != "/admin/ "+path:
						t.Errorf("%s, %s, %s, %s: got %d %q, want the path %q", name, place, scheme, target, status, body, path)
					}
				}
			}
		}
	}
}

// get sends a target as it stands.
func get(t *testing.T, server *httptest.Server, target string, header http.Header) (int, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, server.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.URL.Opaque, r.Header = target, header
	answer, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}
