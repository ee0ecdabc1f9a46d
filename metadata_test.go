package popauth_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

const shop = "https://api.example.com"

func publish(r popauth.Resource) func(*popauth.Options) {
	return func(o *popauth.Options) { o.Resource = r }
}

// documentOf is what a Guard's document says.
func documentOf(tb testing.TB, g *popauth.Guard) map[string]any {
	tb.Helper()
	w := httptest.NewRecorder()
	g.Metadata().ServeHTTP(w, httptest.NewRequest("GET", g.MetadataPath(), http.NoBody))
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 {
		tb.Fatalf("got %d %q, %v", w.Code, w.Body, err)
	}
	return got
}

func TestMetadataDocument(t *testing.T) {
	l := lab.New(t)
	list := func(s ...any) []any { return s }
	nobody := func(*http.Request, popauth.AuthorizationDetail) error { return popauth.ErrForbidden }
	for _, tt := range []struct {
		name     string
		resource popauth.Resource
		change   func(*popauth.Options)
		routes   func(*popauth.Guard)
		want     map[string]any
	}{
		{"mutual TLS", popauth.Resource{ID: shop}, nil, nil, map[string]any{
			"resource": shop, "authorization_servers": list(l.Issuer.URL), "bearer_methods_supported": list("header"),
			"tls_client_certificate_bound_access_tokens": true,
		}},
		{"DPoP alone", popauth.Resource{ID: shop, DPoPRequired: true}, func(o *popauth.Options) {
			o.Confirmers = []popauth.Confirmer{lab.Proofs(dpop.Options{Algorithms: []string{"ES256", "PS256"}})}
		}, nil, map[string]any{
			"resource": shop, "authorization_servers": list(l.Issuer.URL), "bearer_methods_supported": list("header"),
			"dpop_signing_alg_values_supported": list("ES256", "PS256"), "dpop_bound_access_tokens_required": true,
		}},
		{"nothing that is bound", popauth.Resource{ID: shop}, func(o *popauth.Options) { o.Confirmers = []popauth.Confirmer{} }, nil,
			map[string]any{
				"resource": shop, "authorization_servers": list(l.Issuer.URL), "bearer_methods_supported": list("header"),
			}},
		{"routes", popauth.Resource{ID: shop, Scopes: []string{"z", "a"}, AuthorizationDetailsTypes: []string{"x"}},
			func(o *popauth.Options) {
				o.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, lab.Proofs(dpop.Options{})}
			}, func(g *popauth.Guard) {
				g.Authorize(popauth.Scope("b", "a"), popauth.Bound())
				g.Authorize(popauth.AnyScope("c", "d"))
				g.Authorize(popauth.AnyOf(popauth.Client("x"), popauth.AnyOf(popauth.Scope("e"), popauth.Scope("f"))))
				g.Authorize(popauth.AuthorizationDetails("payment", nobody))
			}, map[string]any{
				"resource": shop, "authorization_servers": list(l.Issuer.URL), "bearer_methods_supported": list("header"),
				"tls_client_certificate_bound_access_tokens": true,
				"dpop_signing_alg_values_supported":          list("ES256", "ES384", "EdDSA", "Ed25519", "PS256", "RS256"),
				"scopes_supported":                           list("a", "b", "c", "d", "e", "f", "z"),
				"authorization_details_types_supported":      list("payment", "x"),
			}},
		{"everything else", popauth.Resource{
			ID: shop + "/v1", AuthorizationServers: []string{"https://a.example", "https://b.example/t"}, Name: "Ørders",
			Documentation: shop + "/docs", Policy: shop + "/policy", Terms: shop + "/terms", JWKS: shop + "/keys",
			Members: map[string]any{"resource_name#da": "Ordrer", "x": 5},
		}, func(o *popauth.Options) { *o = popauth.Options{Verifier: lab.VerifierFunc(nil), Resource: o.Resource} }, nil, map[string]any{
			"resource": shop + "/v1", "authorization_servers": list("https://a.example", "https://b.example/t"),
			"bearer_methods_supported": list("header"), "tls_client_certificate_bound_access_tokens": true,
			"resource_name": "Ørders", "resource_documentation": shop + "/docs", "resource_policy_uri": shop + "/policy",
			"resource_tos_uri": shop + "/terms", "jwks_uri": shop + "/keys", "resource_name#da": "Ordrer", "x": 5.0,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			change := tt.change
			if change == nil {
				change = func(*popauth.Options) {}
			}
			g := l.Guard(publish(tt.resource), change)
			if tt.routes != nil {
				tt.routes(g)
			}
			if got := documentOf(t, g); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %v\nwant %v", got, tt.want)
			}
		})
	}
}

// RFC 9728, section 3.1, and what can't be mounted.
func TestMetadataPath(t *testing.T) {
	l := lab.New(t)
	const at = "/.well-known/oauth-protected-resource"
	for _, tt := range []struct{ id, path string }{
		{"https://resource.example.com", at},
		{"https://resource.example.com/", at},
		{"https://resource.example.com/resource1", at + "/resource1"},
		{"https://resource.example.com/resource1/", at + "/resource1/"},
		{"https://resource.example.com:8443/a/b", at + "/a/b"},
		{"https://resource.example.com/%7Bid%7D", at + "/%7Bid%7D"},
		{"https://[::1]:8443/mcp", at + "/mcp"},
		{"https://Resource.example.com/A", at + "/A"},
	} {
		g := l.Guard(publish(popauth.Resource{ID: tt.id}))
		if got := g.MetadataPath(); got != tt.path {
			t.Errorf("%s: got %s, want %s", tt.id, got, tt.path)
		}
		origin, _, _ := strings.Cut(strings.TrimPrefix(tt.id, "https://"), "/")
		want := `Bearer resource_metadata="https://` + origin + tt.path + `"`
		lab.Send(g.Confirm, httptest.NewRequest("GET", "/", http.NoBody)).Refused(t, 401, want)
		mux := http.NewServeMux()
		mux.Handle("GET "+g.MetadataPath(), g.Metadata())
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", "https://"+origin+tt.path, http.NoBody))
		if w.Code != 200 || !strings.Contains(w.Body.String(), `"resource":"`+tt.id+`"`) {
			t.Errorf("%s: got %d %s", tt.id, w.Code, w.Body)
		}
	}
}

func TestResourceOptions(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*popauth.Options)
		want   []string
	}{
		{"id alone", func(*popauth.Options) {}, nil},
		{"no id", func(o *popauth.Options) { o.Resource = popauth.Resource{Name: "x"} }, []string{"ID"}},
		{"no id, required", func(o *popauth.Options) { o.Resource = popauth.Resource{DPoPRequired: true} }, []string{"ID"}},
		{"nothing", func(o *popauth.Options) { o.Resource = popauth.Resource{} }, nil},
		{"custom verifier", func(o *popauth.Options) {
			*o = popauth.Options{Verifier: lab.VerifierFunc(nil), Resource: o.Resource}
		}, []string{"AuthorizationServers"}},
		{"no server", func(o *popauth.Options) { o.Resource.AuthorizationServers = []string{} }, []string{"AuthorizationServers"}},
		{"server without TLS", func(o *popauth.Options) { o.Resource.AuthorizationServers = []string{"http://id.example.com"} },
			[]string{"AuthorizationServers"}},
		{"server with a query", func(o *popauth.Options) { o.Resource.AuthorizationServers = []string{"https://id.example.com?x"} },
			[]string{"AuthorizationServers"}},
		{"server with a space", func(o *popauth.Options) { o.Resource.AuthorizationServers = []string{"https://id.example.com/a b"} },
			[]string{"AuthorizationServers"}},
		{"issuer no URL", func(o *popauth.Options) { o.Issuer, o.Keys = "accounts", lab.Nowhere{} }, []string{"AuthorizationServers"}},
		{"issuer no URL, server given", func(o *popauth.Options) {
			o.Issuer, o.Keys, o.Resource.AuthorizationServers = "accounts", lab.Nowhere{}, []string{"https://id.example.com"}
		}, nil},
		{"DPoP required, none confirmed", func(o *popauth.Options) { o.Resource.DPoPRequired = true }, []string{"DPoPRequired"}},
		{"scope with a space", func(o *popauth.Options) { o.Resource.Scopes = []string{"a b"} }, []string{"Scopes"}},
		{"empty scope", func(o *popauth.Options) { o.Resource.Scopes = []string{""} }, []string{"Scopes"}},
		{"empty type", func(o *popauth.Options) { o.Resource.AuthorizationDetailsTypes = []string{""} },
			[]string{"AuthorizationDetailsTypes"}},
		{"name not UTF-8", func(o *popauth.Options) { o.Resource.Name = "\xff" }, []string{"Name"}},
		{"type not UTF-8", func(o *popauth.Options) { o.Resource.AuthorizationDetailsTypes = []string{"\xff"} }, []string{"Name"}},
		{"addresses", func(o *popauth.Options) {
			o.Resource.Documentation, o.Resource.Policy, o.Resource.Terms, o.Resource.JWKS = "javascript:alert(1)", "x", "//h/x",
				"http://h/keys"
		}, []string{"Documentation", "Policy", "Terms", "JWKS"}},
		{"member of a field", func(o *popauth.Options) { o.Resource.Members = map[string]any{"resource_name": "x"} }, []string{"Members"}},
		{"member of the Guard", func(o *popauth.Options) {
			o.Resource.Members = map[string]any{"dpop_bound_access_tokens_required": true}
		}, []string{"Members"}},
		{"member that can't be written", func(o *popauth.Options) { o.Resource.Members = map[string]any{"x": func() {}} },
			[]string{"Members"}},
		{"member that is not UTF-8", func(o *popauth.Options) { o.Resource.Members = map[string]any{"\xff": 1} }, []string{"Members"}},
		{"member without name", func(o *popauth.Options) { o.Resource.Members = map[string]any{"": 1} }, []string{"Members"}},
		{"everything at once", func(o *popauth.Options) {
			o.Resource = popauth.Resource{ID: "x", DPoPRequired: true, Scopes: []string{`"`}, JWKS: "x",
				Members: map[string]any{"resource": 1}}
		}, []string{"ID", "DPoPRequired", "Scopes", "JWKS", "Members"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := popauth.Options{Issuer: "https://id.example.com", Audience: []string{"a"}, Resource: popauth.Resource{ID: shop}}
			tt.change(&o)
			g, err := popauth.New(o)
			if (g == nil) != (len(tt.want) > 0) || (err == nil) != (len(tt.want) == 0) {
				t.Fatalf("got %v, %v", g, err)
			}
			if err == nil {
				return
			}
			if got := strings.Count(err.Error(), "popauth: Options."); got != len(tt.want) {
				t.Errorf("got %d problems, want %d: %v", got, len(tt.want), err)
			}
			for _, field := range tt.want {
				if !strings.Contains(err.Error(), "popauth: Options.Resource."+field+": ") {
					t.Errorf("got %v, want %s named", err, field)
				}
			}
		})
	}
	for _, id := range []string{
		"api", "http://api.example.com", "HTTPS://api.example.com", "https://", "https:///x", "https://:443", "https://u@api.example.com",
		"https://api.example.com?x=y", "https://api.example.com?", "https://api.example.com#x", "https://api.example.com#",
		"https://api.example.com/a b", "https://api.example.com/\"", `https://api.example.com/\`, "https://api.example.com/ä",
		"https://api.example.com/{id}", "https://api.example.com/a/../b", "https://api.example.com/%2e%2E/b", "https://api.example.com/./b",
		"https://api.example.com//", "https://api.example.com//b", "https://api.example.com/b//", "https://api.example.com/b//c",
		"https://api.example.com/%zz", "https://api.example.com/\r\nX: y", "https://api.example.com, evil", `https://api".example.com`,
		" https://api.example.com",
	} {
		_, err := popauth.New(popauth.Options{Issuer: "https://id.example.com", Audience: []string{"a"},
			Resource: popauth.Resource{ID: id}})
		if err == nil || !strings.Contains(err.Error(), "popauth: Options.Resource.ID: ") {
			t.Errorf("%q: got %v", id, err)
		}
	}
}

func TestMetadataHandler(t *testing.T) {
	l := lab.New(t)
	h := l.Guard(publish(popauth.Resource{ID: shop})).Metadata()
	length := ""
	for _, tt := range []struct {
		method string
		status int
	}{{"GET", 200}, {"HEAD", 200}, {"POST", 405}, {"PUT", 405}, {"OPTIONS", 405}, {"get", 405}} {
		r := httptest.NewRequest(tt.method, "https://evil.example/", strings.NewReader("x"))
		r.Host = "evil.example"
		for _, name := range []string{"X-Forwarded-Host", "Forwarded", "Origin", "Authorization"} {
			r.Header.Set(name, "evil.example")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != tt.status || strings.Contains(w.Body.String()+fmt.Sprint(w.Header()), "evil") {
			t.Errorf("%s: got %d %v %s", tt.method, w.Code, w.Header(), w.Body)
		}
		if tt.status != 200 {
			if w.Body.Len() > 0 || w.Header().Get("Allow") != "GET, HEAD" {
				t.Errorf("%s: got %v %q", tt.method, w.Header(), w.Body)
			}
			continue
		}
		if w.Header().Get("Content-Type") != "application/json" || !strings.HasPrefix(w.Header().Get("Cache-Control"), "public, max-age=") {
			t.Errorf("%s: got %v", tt.method, w.Header())
		}
		if tt.method == "HEAD" {
			if w.Body.Len() > 0 || w.Header().Get("Content-Length") != length {
				t.Errorf("HEAD: got %v, %d bytes, want those of GET, %s", w.Header(), w.Body.Len(), length)
			}
			continue
		}
		if length = w.Header().Get("Content-Length"); length != fmt.Sprint(w.Body.Len()) {
			t.Errorf("got Content-Length %s, %d bytes", length, w.Body.Len())
		}
	}
}

// Every scheme's challenges name the document, in a refusal of whatever kind.
func TestChallengesNameTheMetadata(t *testing.T) {
	l := lab.New(t)
	g := l.Guard(publish(popauth.Resource{ID: shop + "/mcp"}), func(o *popauth.Options) {
		o.Realm, o.Confirmers = "shop", []popauth.Confirmer{popauth.MutualTLS{}, lab.Proofs(dpop.Options{})}
	})
	for name, r := range map[string]*http.Request{
		"none":         l.Owner.Request("GET", "/", ""),
		"malformed":    l.Owner.Request("GET", "/?access_token=x", l.Bound()),
		"not a token":  l.Owner.Request("GET", "/", "x"),
		"stolen":       l.Thief.Request("GET", "/", l.Bound()),
		"lacks scope":  l.Owner.Request("GET", "/", l.Bound()),
		"lacks acr":    l.Owner.Request("GET", "/", l.Bound(lab.Claims{"scope": "admin"})),
		"unbound":      l.Owner.Request("GET", "/", l.Unbound()),
		"other scheme": withHeader(l.Owner.Request("GET", "/", ""), "Authorization", "DPoP "+l.Bound()),
	} {
		o := lab.Send(lab.Chain(g.Confirm, g.Authorize(popauth.Scope("admin"), popauth.ACR("mfa"))), r)
		if o.Ran || len(o.Challenges) == 0 {
			t.Errorf("%s: got %+v", name, o)
		}
		for _, c := range o.Challenges {
			scheme, params, err := lab.ReadChallenge(c)
			want := "https://api.example.com/.well-known/oauth-protected-resource/mcp"
			if err != nil || params["resource_metadata"] != want || params["realm"] != "shop" ||
				(scheme == "DPoP") != (params["algs"] != "") {
				t.Errorf("%s: got %s, %v", name, c, err)
			}
		}
	}
}

func withHeader(r *http.Request, name, value string) *http.Request {
	r.Header.Set(name, value)
	return r
}

// What DPoPRequired says is so at every stage.
func TestDPoPRequired(t *testing.T) {
	l := lab.New(t)
	confirmers := func(o *popauth.Options) {
		o.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, lab.Proofs(dpop.Options{BaseURL: shop})}
	}
	key := popauthtest.NewProofKey(t, "")
	for _, required := range []bool{true, false} {
		g := l.Guard(confirmers, publish(popauth.Resource{ID: shop, DPoPRequired: required}))
		bound := func() *http.Request {
			token := l.Issuer.Token(key.Bound(), lab.Claims{"scope": "orders.read"})
			r := l.Owner.Request("GET", "/", "")
			r.Header.Set("Authorization", "DPoP "+token)
			r.Header.Set("DPoP", key.Proof("GET", shop+"/", token, lab.Claims{"iat": l.Clock.Now().Unix()}))
			return r
		}
		for name, stage := range map[string]func(http.Handler) http.Handler{
			"Authenticate": g.Authenticate, "Authorize": g.Authorize(popauth.Scope("orders.read")),
		} {
			lab.Send(stage, bound()).Passed(t)
			for kind, token := range map[string]string{"unbound": l.Unbound(), "bound to a certificate": l.Bound()} {
				o := lab.Send(stage, l.Owner.Request("GET", "/", token))
				if o.Ran == required {
					t.Errorf("required %t, %s, %s: ran %t", required, name, kind, o.Ran)
				}
				if required {
					o.Refused(t, 401, `Bearer error="invalid_token", error_description="The access token is not bound to a key"`)
				}
			}
		}
		if _, err := g.Check(l.Owner.Request("GET", "/", l.Unbound())); (err != nil) != required {
			t.Errorf("required %t: Check: %v", required, err)
		}
		if got, _ := documentOf(t, g)["dpop_bound_access_tokens_required"].(bool); got != required {
			t.Errorf("required %t, but the document says %t", required, got)
		}
	}
}

// A handler that calls Authorize with what a request says puts nothing into the document, and Authorize may be called
// while the document is served.
func TestRequestsDontAddToMetadata(t *testing.T) {
	l := lab.New(t)
	g := l.Guard(publish(popauth.Resource{ID: shop}))
	read := g.Authorize(popauth.Scope("orders.read"))
	lab.Send(read, l.Owner.Request("GET", "/", "")).Refused(t, 401, "Bearer")
	g.Authorize(popauth.Scope("evil"))
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() { g.Authorize(popauth.Scope(fmt.Sprint("evil", i))) })
		all.Go(func() { g.Metadata().ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", http.NoBody)) })
	}
	all.Wait()
	if got := documentOf(t, g)["scopes_supported"]; !reflect.DeepEqual(got, []any{"orders.read"}) {
		t.Errorf("VULNERABLE: got %v", got)
	}

	// Nor after the document itself was the first that was asked for.
	g = l.Guard(publish(popauth.Resource{ID: shop}))
	documentOf(t, g)
	g.Authorize(popauth.Scope("evil"))
	if got := documentOf(t, g)["scopes_supported"]; got != nil {
		t.Errorf("got %v", got)
	}
}

func TestResourceIsCopied(t *testing.T) {
	l := lab.New(t)
	r := popauth.Resource{ID: shop, Scopes: []string{"a"}, AuthorizationServers: []string{"https://a.example"},
		AuthorizationDetailsTypes: []string{"a"}, Members: map[string]any{"x": []string{"a"}}}
	g := l.Guard(publish(r))
	r.Scopes[0], r.AuthorizationServers[0], r.AuthorizationDetailsTypes[0] = "evil", "evil", "evil"
	r.Members["x"].([]string)[0], r.Members["y"] = "evil", "evil"
	if got := fmt.Sprint(documentOf(t, g)); strings.Contains(got, "evil") {
		t.Error(got)
	}
}

// Wiring that can't work panics when the routes are built, and a Guard without an ID has challenges as before.
func TestNoResource(t *testing.T) {
	l := lab.New(t)
	plain := l.Guard()
	for name, f := range map[string]func(){
		"Metadata": func() { plain.Metadata() }, "MetadataPath": func() { plain.MetadataPath() },
		"zero":       func() { (&popauth.Guard{}).Metadata() },
		"nil, path":  func() { (*popauth.Guard)(nil).MetadataPath() },
		"nil policy": func() { (*popauth.Guard)(nil).Authorize(popauth.Policy{}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
	o := lab.Send(plain.Confirm, l.Owner.Request("GET", "/", ""))
	if !slices.Equal(o.Challenges, []string{"Bearer"}) {
		t.Errorf("got %q", o.Challenges)
	}
}
