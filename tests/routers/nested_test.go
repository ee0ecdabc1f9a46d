package routers_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/gorilla/mux"
	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/labstack/echo/v4"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// targets are spellings of admin's and cancel's paths.
var targets = []string{
	"/v1/%61dmin/1", "/v1/admin%2f1", "/v1%2fadmin/1", "/v1//admin/1", "/v1/x/../admin/1", "/v1/x/%2e%2e/admin/1", "/v1/./admin/1",
	"//v1/admin/1",
	"/v1/x/..%2fadmin/1", "/v1/%2561dmin/1", "/v1/admin/1%00", "/v1/orders%3Acancel/1", "/v1/%24admin/1", "/v1/%c3%a9/1", "/v1/%C3%A9/(1)",
	"http:/v1/admin/1://x/v1/orders/1", "foo:x://b/v1/orders/1", "/v1/x%5c..%5cadmin/1", `/v1/x\..\admin/1`,
}

func text(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) }
}

// restricted are the paths for admins only, with those that only a static pattern with other characters makes one.
var restricted = []string{"/v1/admin/", "/v1/orders:cancel/", "/v1/$admin/", "/v1/é/"}

// inner are routers with a handler for admins and others.
func inner(tb testing.TB) map[string]http.Handler {
	tb.Helper()
	gin.SetMode(gin.ReleaseMode)
	sm, c, gm, encoded := http.NewServeMux(), chi.NewRouter(), mux.NewRouter(), mux.NewRouter().UseEncodedPath()
	ge, raw, e, gw := gin.New(), gin.New(), echo.New(), runtime.NewServeMux()
	raw.UseRawPath = true
	for _, path := range restricted {
		for pattern, h := range map[string]http.HandlerFunc{path: text("ADMIN")} {
			sm.Handle("GET "+pattern+"{id}", h)
			c.Get(pattern+"{id}", h)
			gm.Handle(pattern+"{id}", h)
			encoded.Handle(pattern+"{id}", h)
		}
	}
	for pattern, s := range map[string]string{"/v1/admin/": "ADMIN", "/v1/orders/": "orders"} {
		for _, g := range []*gin.Engine{ge, raw} {
			g.GET(pattern+":id", func(c *gin.Context) { c.String(http.StatusOK, s) })
		}
		e.GET(pattern+":id", func(c echo.Context) error { return c.String(http.StatusOK, s) })
	}
	for _, pattern := range []string{"/v1/admin/{id}", "/v1/orders:cancel/{id}", "/v1/$admin/{id}"} {
		if err := gw.HandlePath("GET", pattern, func(w http.ResponseWriter, _ *http.Request, _ map[string]string) {
			text("ADMIN")(w, nil)
		}); err != nil {
			tb.Log(pattern, err)
		}
	}
	return map[string]http.Handler{
		"ServeMux": sm, "chi": c, "gorilla": gm, "gorilla encoded": encoded, "gin": ge, "gin raw": raw, "echo": e, "grpc-gateway": gw,
	}
}

// outer are routers that choose between two policies for what is inside.
func outer(inside http.Handler, read, admin func(http.Handler) http.Handler) map[string]http.Handler {
	c, sm, gm, encoded, e := chi.NewRouter(), http.NewServeMux(), mux.NewRouter(), mux.NewRouter().UseEncodedPath(), echo.New()
	for _, path := range restricted {
		c.Handle(path+"*", admin(inside))
		sm.Handle(path, admin(inside))
		gm.PathPrefix(path).Handler(admin(inside))
		// With UseEncodedPath a pattern is written as net/url encodes it.
		encoded.PathPrefix((&url.URL{Path: path}).EscapedPath()).Handler(admin(inside))
		e.Any(path+"*", echo.WrapHandler(admin(inside)))
	}
	c.Handle("/v1/*", read(inside))
	sm.Handle("/v1/", read(inside))
	gm.PathPrefix("/v1/").Handler(read(inside))
	encoded.PathPrefix("/v1/").Handler(read(inside))
	e.Any("/v1/*", echo.WrapHandler(read(inside)))
	raw := gin.New()
	raw.UseRawPath = true
	raw.Any("/v1/admin/*any", gin.WrapH(admin(inside)))
	raw.NoRoute(gin.WrapH(read(inside)))
	return map[string]http.Handler{"chi": c, "ServeMux": sm, "gorilla": gm, "gorilla encoded": encoded, "echo": e, "gin raw": raw}
}

func retarget(r *http.Request, target string) bool {
	u, err := url.ParseRequestURI(target)
	r.URL, r.RequestURI = u, target
	return err == nil
}

// One router chooses the policy, another one inside chooses the handler: for every kind of credentials the handler for
// admins never runs under the other policy.
func TestNestedRouters(t *testing.T) {
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
	owner, key := popauthtest.SelfSigned(t, "owner"), popauthtest.NewProofKey(t, "ES256")
	scope := popauthtest.Claims{"scope": "orders.read"}
	tokens := map[string]string{"bearer": issuer.Token(scope), "certificate": issuer.Token(owner.Bound(), scope)}
	dpop := issuer.Token(key.Bound(), scope)
	certificate := clientcert.Thumbprint(owner.Thumbprint())
	nobody := clientcert.Thumbprint(popauthtest.SelfSigned(t, "other").Thumbprint())
	for name, policies := range map[string][2]func(http.Handler) http.Handler{
		"token":       {g.Authorize(popauth.Scope("orders.read")), g.Authorize(popauth.Scope("admin"))},
		"certificate": {clientcert.Require(nil, certificate), clientcert.Require(nil, nobody)},
	} {
		for in, inside := range inner(t) {
			for out, h := range outer(inside, policies[0], policies[1]) {
				serve := func(r *http.Request, kind, target string) {
					w := httptest.NewRecorder()
					h.ServeHTTP(w, r)
					if strings.Contains(w.Body.String(), "ADMIN") {
						t.Errorf("VULNERABLE: %s, %s outside, %s inside, %s: %s ran admin's handler", name, out, in, kind, target)
					}
				}
				for _, target := range append([]string{"/v1/admin/1"}, targets...) {
					for kind, token := range tokens {
						if r := owner.Request("GET", "/", token); retarget(r, target) {
							serve(r, kind, target)
						}
					}
					for _, proof := range []string{"/v1/orders/1", "/v1/admin/1", target} {
						r := owner.Request("GET", "/", "")
						r.Host = "api.example.com"
						r.Header.Set("Authorization", "DPoP "+dpop)
						r.Header.Set("DPoP", key.Proof("GET", "https://api.example.com"+proof, dpop))
						if retarget(r, target) {
							serve(r, "DPoP", target)
						}
					}
				}
			}
		}
	}
}

// Around a public catch-all only RequestLine.Handler helps, and what it decodes all routers read alike.
func TestNestedRoutersPublic(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	g, err := popauth.New(issuer.Options())
	if err != nil {
		t.Fatal(err)
	}
	open := func(next http.Handler) http.Handler { return next }
	for in, inside := range inner(t) {
		for out, h := range outer(inside, open, g.Authorize(popauth.Scope("admin"))) {
			for _, target := range targets {
				w := httptest.NewRecorder()
				r := httptest.NewRequest("GET", "/", nil)
				if !retarget(r, target) || out == "gin raw" && !strings.Contains(target, "admin") ||
					strings.Contains(target, "%24") && out == "gin raw" {
					continue // gin has no such patterns
				}
				popauth.RequestLine{}.Handler(h).ServeHTTP(w, r)
				if strings.Contains(w.Body.String(), "ADMIN") {
					t.Errorf("VULNERABLE: %s outside, %s inside: %s ran admin's handler for nobody", out, in, target)
				}
			}
		}
	}
}

// A method override inside of a Guard: the policies and the proof were for the POST.
func TestMethodOverride(t *testing.T) {
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
	owner := popauthtest.SelfSigned(t, "owner")
	gw := runtime.NewServeMux()
	ran := ""
	for _, method := range []string{"POST", "DELETE"} {
		if err := gw.HandlePath(method, "/v1/orders/{id}", func(http.ResponseWriter, *http.Request, map[string]string) {
			ran = method
		}); err != nil {
			t.Fatal(err)
		}
	}
	// As gorilla/handlers.HTTPMethodOverrideHandler does it.
	override := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m := r.Header.Get("X-HTTP-Method-Override"); m != "" && r.Method == http.MethodPost {
			r.Method = m
		}
		gw.ServeHTTP(w, r)
	})
	for name, inside := range map[string]http.Handler{"grpc-gateway": gw, "override": override} {
		for kind, request := range map[string]func() *http.Request{
			"certificate": func() *http.Request {
				return owner.Request("POST", "https://api.example.com/v1/orders/1", issuer.Token(owner.Bound()))
			},
			"DPoP": func() *http.Request {
				return key.Request("POST", "https://api.example.com/v1/orders/1", issuer.Token(key.Bound()))
			},
		} {
			for _, stage := range []func(http.Handler) http.Handler{
				g.Confirm, clientcert.Require(nil, clientcert.Thumbprint(owner.Thumbprint())),
			} {
				r := request()
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				r.Header.Set("X-HTTP-Method-Override", "DELETE")
				ran = ""
				w := httptest.NewRecorder()
				if stage(inside).ServeHTTP(w, r); ran != "" || w.Code != 400 {
					t.Errorf("VULNERABLE: %s, %s: got %d, ran %s", name, kind, w.Code, ran)
				}
			}
		}
	}
}

// An honest request reaches its handler through each pair of routers.
func TestNestedRoutersHonest(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	g, err := popauth.New(issuer.Options())
	if err != nil {
		t.Fatal(err)
	}
	owner := popauthtest.SelfSigned(t, "owner")
	token := issuer.Token(owner.Bound(), popauthtest.Claims{"scope": "admin"})
	admin := g.Authorize(popauth.Scope("admin"))
	for in, inside := range inner(t) {
		for out, h := range outer(inside, g.Authorize(popauth.Scope("orders.read")), admin) {
			for _, target := range []string{"/v1/admin/1", "/v1/admin/a(1)", "/v1/admin/a%20b", "/v1/admin/caf%C3%A9", "/v1/admin/a:b@c"} {
				w := httptest.NewRecorder()
				r := owner.Request("GET", "/", token)
				retarget(r, target)
				if h.ServeHTTP(w, r); w.Body.String() != "ADMIN" {
					t.Errorf("%s outside, %s inside: %s: got %d %q", out, in, target, w.Code, w.Body)
				}
			}
		}
	}
}
