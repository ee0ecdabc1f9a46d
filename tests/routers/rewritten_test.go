package routers_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// echo's middleware rewrites RequestURI, against which a proof is held then, or Request.URL, which is refused then. Nobody
// gets in without a proof for the one or the other, and an owner gets in by redirects alone.
func TestEchoPre(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	key := popauthtest.NewProofKey(t, "ES256")
	bearer, bound := issuer.Token(), issuer.Token(key.Bound())
	spy := &popauthtest.Spy{}
	for name, tt := range map[string]struct {
		pre                  echo.MiddlewareFunc
		line                 popauth.RequestLine
		target               string
		bearer, owner, other int // other: with a proof for /orders, which is what is left
	}{
		"RemoveTrailingSlash":          {middleware.RemoveTrailingSlash(), popauth.RequestLine{}, "/orders/", 200, 401, 200},
		"RemoveTrailingSlash, space":   {middleware.RemoveTrailingSlash(), popauth.RequestLine{}, "/orders/a%20b/", 400, 400, 400},
		"RemoveTrailingSlash, percent": {middleware.RemoveTrailingSlash(), popauth.RequestLine{}, "/orders/100%25/", 400, 400, 400},
		"RemoveTrailingSlash, redirect": {middleware.RemoveTrailingSlashWithConfig(middleware.TrailingSlashConfig{RedirectCode: 308}),
			popauth.RequestLine{}, "/orders/", 308, 308, 308},
		"Rewrite": {middleware.Rewrite(map[string]string{"/v2/purchases": "/orders"}), popauth.RequestLine{}, "/v2/purchases",
			400, 400, 400},
		"Rewrite, allowed": {middleware.Rewrite(map[string]string{"/v2/purchases": "/orders"}),
			popauth.RequestLine{AllowRewrittenURL: true}, "/v2/purchases", 200, 200, 401},
		"nothing to do": {middleware.RemoveTrailingSlash(), popauth.RequestLine{}, "/orders", 200, 200, 200},
	} {
		o := issuer.Options()
		proofs, err := dpop.New(dpop.Options{URL: dpop.RequestURL})
		if err != nil {
			t.Fatal(err)
		}
		o.Confirmers = []popauth.Confirmer{proofs}
		g, err := popauth.New(o)
		if err != nil {
			t.Fatal(err)
		}
		e := echo.New()
		e.Pre(tt.pre)
		for _, route := range []string{"/orders", "/orders/:id"} {
			e.GET(route, echo.WrapHandler(spy), echo.WrapMiddleware(g.Authenticate))
		}
		server := httptest.NewServer(tt.line.Handler(e))
		t.Cleanup(server.Close)
		server.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		dpop := func(path string) http.Header {
			return http.Header{"Authorization": {"DPoP " + bound}, "Dpop": {key.Proof("GET", server.URL+path, bound)}}
		}
		for who, header := range map[string]http.Header{"bearer": {"Authorization": {"Bearer " + bearer}}, "owner": dpop(tt.target),
			"other": dpop("/orders")} {
			before := spy.Ran()
			status, _ := get(t, server, tt.target, header)
			want := map[string]int{"bearer": tt.bearer, "owner": tt.owner, "other": tt.other}[who]
			if ran := spy.Ran() > before; status != want || ran != (want == 200) {
				t.Errorf("%s, %s: got %d, ran %t, want %d", name, who, status, ran, want)
			}
		}
	}
}
