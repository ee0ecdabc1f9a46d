package introspection_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// TestClientAuthentication is each method against an endpoint that holds the request to it.
func TestClientAuthentication(t *testing.T) {
	l := lab.New(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const id, secret = "orders:api é", "s%3A:+ cret"
	seen := map[string]bool{} // the jti of assertions
	asserted := func(r *http.Request) bool {
		var c jwt.RegisteredClaims
		token, err := jwt.ParseWithClaims(r.PostForm.Get("client_assertion"), &c,
			func(*jwt.Token) (any, error) { return &key.PublicKey, nil },
			jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer(id), jwt.WithSubject(id), jwt.WithAudience(l.Issuer.URL),
			jwt.WithExpirationRequired(), jwt.WithTimeFunc(l.Clock.Now))
		fresh := !seen[c.ID] && c.ID != "" && len(c.Audience) == 1
		seen[c.ID] = true
		return err == nil && fresh && token.Header["kid"] == "k1" && r.PostForm.Get("client_id") == id &&
			r.PostForm.Get("client_assertion_type") == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	}
	for name, tt := range map[string]struct {
		as     introspection.ClientAuthentication
		accept func(*http.Request) bool
	}{
		"client_secret_basic": {introspection.ClientSecretBasic{ID: id, Secret: secret}, func(r *http.Request) bool {
			user, password, _ := r.BasicAuth()
			if plain, err := url.PathUnescape(password); plain != secret || err != nil {
				t.Errorf("got %q for servers that decode percent signs alone, want %q", plain, secret)
			}
			user, err := url.QueryUnescape(user) // RFC 6749, section 2.3.1
			password, err2 := url.QueryUnescape(password)
			return user == id && password == secret && err == nil && err2 == nil && !r.PostForm.Has("client_id")
		}},
		"client_secret_post": {introspection.ClientSecretPost{ID: id, Secret: secret}, func(r *http.Request) bool {
			return r.PostForm.Get("client_id") == id && r.PostForm.Get("client_secret") == secret && r.Header.Get("Authorization") == ""
		}},
		"private_key_jwt": {introspection.PrivateKeyJWT{ID: id, Method: jwt.SigningMethodES256, Key: key, KeyID: "k1"}, asserted},
	} {
		t.Run(name, func(t *testing.T) {
			good := true
			l.Issuer.Handle("/introspect", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_ = r.ParseForm()
				if r.Method != http.MethodPost || r.URL.RawQuery != "" || r.PostForm.Get("token") != "t" ||
					r.PostForm.Get("token_type_hint") != "access_token" ||
					r.Header.Get("Accept") != "application/json" || !tt.accept(r) {
					good = false
					t.Errorf("%s %s %v %v", r.Method, r.URL, r.Header, r.PostForm)
				}
				_, _ = w.Write([]byte(lab.Active))
			}))
			v := l.Introspection(func(o *introspection.Options) { o.Authentication, o.Remember = tt.as, -1 })
			for range 2 {
				if _, err := v.Verify(t.Context(), "t"); err != nil || !good {
					t.Errorf("got %v", err)
				}
			}
		})
	}
}

// An API that authenticates by certificate asks at the alias of the endpoint, whose server knows it by that.
func TestIntrospectionByCertificate(t *testing.T) {
	l := lab.New(t)
	api, other := popauthtest.SelfSigned(t, "api"), popauthtest.SelfSigned(t, "other")
	credential, err := clientauth.Thumbprint(api.Thumbprint())
	if err != nil {
		t.Fatal(err)
	}
	clients := clientauth.Static{"orders-api": {{Credential: credential}}}
	auth, err := clientauth.New(clientauth.Options{Clients: clients, Endpoints: clientauth.PathPrefix("/mtls")})
	if err != nil {
		t.Fatal(err)
	}
	l.Issuer.Handle("/introspect", http.NotFoundHandler())
	l.Issuer.Handle("/mtls/", auth.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := auth.Authenticate(r); err != nil || r.URL.Path != "/introspect" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte(lab.Active))
	})))
	l.Issuer.Metadata = popauthtest.Claims{"mtls_endpoint_aliases": popauthtest.Claims{"introspection_endpoint": l.Issuer.URL +
		"/mtls/introspect"}}
	for _, tt := range []struct {
		name string
		id   string
		by   *popauthtest.Client
		want error
	}{
		{"the API", "orders-api", api, nil},
		{"another name", "other-api", api, popauth.ErrUnavailable},
		{"another certificate", "orders-api", other, popauth.ErrUnavailable},
		{"no certificate", "orders-api", nil, popauth.ErrUnavailable},
	} {
		v := l.Introspection(func(o *introspection.Options) {
			o.Authentication, o.Client = introspection.TLSClientAuth{ID: tt.id}, tt.by.HTTP(l.Issuer.Server)
		})
		if _, err := v.Verify(t.Context(), "t"); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
	// Everybody else asks at the ordinary endpoint.
	if _, err := l.Introspection().Verify(t.Context(), "t"); err == nil || !strings.Contains(err.Error(), "/introspect: status 404") ||
		strings.Contains(err.Error(), "mtls") {
		t.Errorf("with a secret: got %v", err)
	}
}

// What goes wrong at the endpoint is answered with 503, whoever's fault it is, and never reaches the handler.
func TestIntrospectionFaults(t *testing.T) {
	l := lab.New(t)
	elsewhere := popauthtest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		t.Error("the redirect was followed")
		_, _ = w.Write([]byte(lab.Active))
	}))
	date := func(in time.Duration) string { return l.Clock.Now().Add(in).UTC().Format(http.TimeFormat) }
	for name, tt := range map[string]struct {
		status     int
		body       string
		header     []string
		want       int
		retryAfter string
		says       string // in the error, for the log
	}{
		"credentials refused": {status: 401, body: lab.Active, want: 503, retryAfter: "5",
			says: "does not accept how this API authenticates"},
		"not allowed": {status: 403, body: lab.Active, want: 503, retryAfter: "5",
			says: "does not accept how this API authenticates"},
		"not found":          {status: 404, body: lab.Active, want: 503, retryAfter: "1", says: "status 404"},
		"server error":       {status: 500, body: lab.Active, want: 503, retryAfter: "1", says: "status 500"},
		"created":            {status: 201, body: lab.Active, want: 503, retryAfter: "1", says: "status 201"},
		"no content":         {status: 204, want: 503, retryAfter: "1", says: "status 204"},
		"redirect elsewhere": {status: 307, header: []string{"Location", elsewhere.URL}, want: 503, retryAfter: "1", says: "status 307"},
		"redirect to itself": {status: 308, header: []string{"Location", "/jwks"}, want: 503, retryAfter: "1", says: "status 308"},
		"too many requests":  {status: 429, header: []string{"Retry-After", "17"}, want: 503, retryAfter: "17", says: "status 429"},
		"busy until a date": {status: 503, header: []string{"Date", date(0), "Retry-After", date(9 * time.Second)}, want: 503,
			retryAfter: "9", says: "status 503"},
		"busy for a year": {status: 503, header: []string{"Retry-After", "31536000"}, want: 503, retryAfter: "600",
			says: "status 503"},
		"busy for nonsense":     {status: 503, header: []string{"Retry-After", "-5"}, want: 503, retryAfter: "1", says: "status 503"},
		"retry after an error":  {status: 500, header: []string{"Retry-After", "17"}, want: 503, retryAfter: "1", says: "status 500"},
		"type not supported":    {status: 400, body: `{"error":"unsupported_token_type"}`, want: 401, says: "unsupported_token_type"},
		"our request malformed": {status: 400, body: `{"error":"invalid_request"}`, want: 503, retryAfter: "1", says: "status 400"},
		"bad request, no JSON":  {status: 400, body: `unsupported_token_type`, want: 503, retryAfter: "1", says: "status 400"},
	} {
		t.Run(name, func(t *testing.T) {
			l.Answering(tt.status, tt.body, tt.header...)
			v := l.Introspection()
			got := lab.Send(l.OpaqueGuard(v).Authenticate, (*popauthtest.Client)(nil).Request("GET", "/", "a"))
			if got.Ran || got.Status != tt.want || got.Header.Get("Retry-After") != tt.retryAfter || got.Body != "" {
				t.Errorf("got status %d, Retry-After %q, ran %t, want %d, %q", got.Status, got.Header.Get("Retry-After"), got.Ran,
					tt.want, tt.retryAfter)
			}
			v = l.Introspection()
			if _, err := v.Verify(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want one that says %q", err, tt.says)
			}
		})
	}
	l.Issuer.Handle("/introspect", nil)
	for name, change := range map[string]func(*introspection.Options){
		"unreachable":         func(o *introspection.Options) { o.Endpoint = "https://127.0.0.1:1/introspect" },
		"untrusted":           func(o *introspection.Options) { o.Client = nil },
		"metadata of another": func(o *introspection.Options) { o.Issuer += "/" },
		"endpoint of plain HTTP": func(*introspection.Options) {
			l.Issuer.Metadata = popauthtest.Claims{"introspection_endpoint": "http://127.0.0.1/i"}
		},
		"no endpoint in metadata": func(*introspection.Options) {
			l.Issuer.Metadata = popauthtest.Claims{"introspection_endpoint": popauthtest.Omit}
		},
	} {
		l.Issuer.Metadata = nil
		v := l.Introspection(change)
		got := lab.Send(l.OpaqueGuard(v).Authenticate, (*popauthtest.Client)(nil).Request("GET", "/", l.Issuer.Opaque()))
		got.Refused(t, 503, "")
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// The token is in no error, and an endless one is refused before anything else.
func TestIntrospectionKeepsTokens(t *testing.T) {
	l := lab.New(t)
	const token = "secret-token"
	l.Answering(500, token)
	v := l.Introspection()
	if _, err := v.Verify(t.Context(), token); err == nil || strings.Contains(err.Error(), token) {
		t.Errorf("got %v", err)
	}
	v = l.Introspection(func(o *introspection.Options) { o.Endpoint = "https://127.0.0.1:1/" })
	if _, err := v.Verify(t.Context(), token); err == nil || strings.Contains(err.Error(), token) {
		t.Errorf("got %v", err)
	}
	for _, token := range []string{"", strings.Repeat("x", 16<<10+1)} {
		if _, err := v.Verify(t.Context(), token); !errors.Is(err, popauth.ErrTokenMalformed) {
			t.Errorf("%d bytes: got %v", len(token), err)
		}
	}
}

// A panic while asking, in an http.RoundTripper for one, ends no process.
func TestIntrospectionPanics(t *testing.T) {
	l := lab.New(t)
	v := l.Introspection(func(o *introspection.Options) {
		o.Client = &http.Client{Transport: lab.RoundTrip(func(*http.Request) (*http.Response, error) { panic("oops") })}
	})
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			w := httptest.NewRecorder()
			l.OpaqueGuard(v).Authenticate(http.NotFoundHandler()).ServeHTTP(w, (*popauthtest.Client)(nil).Request("GET", "/", "a"))
			if w.Code != 503 {
				t.Errorf("status: got %d, want 503", w.Code)
			}
		})
	}
	all.Wait()
}
