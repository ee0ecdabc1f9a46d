package clientauth_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// Where a certificate is demanded, and where it is not.
func TestEndpoints(t *testing.T) {
	var nowhere clientauth.Endpoints
	path, root := clientauth.PathPrefix("/connect/mtls"), clientauth.PathPrefix("/mtls")
	for _, tt := range []struct {
		name      string
		endpoints clientauth.Endpoints
		url       string
		demanded  bool
		path      string // escaped, as the next handler sees it; "": unchanged
	}{
		{"off", nowhere, "https://mtls.example.com/connect/mtls/token", false, ""},
		{"another path", path, "https://example.com/api/test", false, ""},
		{"token", path, "https://example.com/connect/mtls/token", true, "/connect/token"},
		{"revocation", path, "https://example.com/connect/mtls/revocation", true, "/connect/revocation"},
		{"introspection", path, "https://example.com/connect/mtls/introspect", true, "/connect/introspect"},
		{"device authorization", path, "https://example.com/connect/mtls/deviceauthorization", true, "/connect/deviceauthorization"},
		{"further segments", path, "https://example.com/connect/mtls/token/extra/path", true, "/connect/token/extra/path"},
		{"prefix in another case", path, "https://example.com/connect/mTLS/token", true, "/connect/token"},
		{"prefix alone", path, "https://example.com/connect/mtls", true, "/connect/"},
		{"prefix and slash", root, "https://example.com/mtls/", true, "/"},
		{"root", root, "https://example.com/mtls/token", true, "/token"},
		{"root alone", root, "https://example.com/mtls", true, "/"},
		{"not by segment", root, "https://example.com/mtlsx/token", false, ""},
		{"not by segment", path, "https://example.com/connect/mtls2/token", false, ""},
		{"ordinary", path, "https://example.com/connect/token", false, ""},
		{"half", path, "https://example.com/connect", false, ""},
		{"further down", root, "https://example.com/x/mtls/token", false, ""},
		{"escaped letter", root, "https://example.com/%6Dtls/token", true, "/token"},
		{"escaped slash", root, "https://example.com/mtls%2Ftoken", false, ""},
		{"escaped rest", root, "https://example.com/mtls/a%2Fb%20c", true, "/a%2Fb%20c"},
		{"query", root, "https://example.com/mtls/token?x=%2F", true, "/token"},
		{"host with prefix", root, "https://mtls.example.com/token", false, ""},
		{"domain", clientauth.Domain("mtls.example.com"), "https://mtls.example.com/connect/token", true, ""},
		{"domain in another case", clientauth.Domain("mtls.Example.com"), "https://MTLS.example.COM/connect/token", true, ""},
		{"domain, default port", clientauth.Domain("mtls.example.com"), "https://mtls.example.com:443/token", true, ""},
		{"domain, other port", clientauth.Domain("mtls.example.com"), "https://mtls.example.com:5001/token", false, ""},
		{"domain with default port", clientauth.Domain("mtls.example.com:443"), "https://mtls.example.com/token", true, ""},
		{"domain with default port, 443", clientauth.Domain("mtls.example.com:443"), "https://mtls.example.com:443/token", true, ""},
		{"domain with default port, other", clientauth.Domain("mtls.example.com:443"), "https://mtls.example.com:5001/token", false, ""},
		{"domain with port, none", clientauth.Domain("mtls.example.com:5001"), "https://mtls.example.com/token", false, ""},
		{"domain with port, default", clientauth.Domain("mtls.example.com:5001"), "https://mtls.example.com:443/token", false, ""},
		{"domain with port", clientauth.Domain("mtls.example.com:5001"), "https://mtls.example.com:5001/token", true, ""},
		{"parent of the domain", clientauth.Domain("mtls.example.com"), "https://example.com/token", false, ""},
		{"sibling of the domain", clientauth.Domain("mtls.example.com"), "https://other.example.com:443/token", false, ""},
		{"parent with the port", clientauth.Domain("mtls.example.com:5001"), "https://example.com:5001/token", false, ""},
		{"a path, but a domain is configured", clientauth.Domain("mtls.example.com"), "https://example.com/connect/mtls/token", false, ""},
		{"IPv6", clientauth.Domain("[::1]:8443"), "https://[::1]:8443/token", true, ""},
		{"IPv6 port", clientauth.Domain("[::1]"), "https://[::1]:8443/token", false, ""},
		{"subdomain", clientauth.Subdomain("mtls"), "https://mtls.example.com/token", true, ""},
		{"subdomain in another case", clientauth.Subdomain("mtls"), "https://mTLS.example.com/token", true, ""},
		{"subdomain, default port", clientauth.Subdomain("MTLS"), "https://mtls.example.com:443/token", true, ""},
		{"subdomain, other port", clientauth.Subdomain("mtls"), "https://mtls.example.com:5001/token", true, ""},
		{"another subdomain", clientauth.Subdomain("mtls"), "https://api.example.com/token", false, ""},
		{"parent of the subdomain", clientauth.Subdomain("mtls"), "https://example.com:5001/token", false, ""},
		{"without the dot", clientauth.Subdomain("mtls"), "https://mtlsx.example.com/token", false, ""},
		{"label alone", clientauth.Subdomain("mtls"), "https://mtls/token", false, ""},
		{"label and dot", clientauth.Subdomain("mtls"), "https://mtls./token", false, ""},
		{"label further on", clientauth.Subdomain("mtls"), "https://x.mtls.example.com/token", false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			owner := popauthtest.SelfSigned(t, "batch")
			a, err := clientauth.New(clientauth.Options{
				Clients: clientauth.Static{"batch": {thumbprint(t, owner)}}, Endpoints: tt.endpoints,
			})
			if err != nil {
				t.Fatal(err)
			}
			u := reference(t, tt.url)
			at := func(r *http.Request) { r.URL, r.Host = u, u.Host }

			got := send(a, post(owner, form, at))
			if tt.demanded {
				got.passed(t, "batch")
			} else {
				got.refused(t, clientauth.ErrOtherMethod, 401, "invalid_client")
			}

			ran := false
			var seen *http.Request
			spy := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { ran, seen = true, r })
			a.Handler(spy).ServeHTTP(httptest.NewRecorder(), post(nil, form, at))
			if ran == tt.demanded {
				t.Errorf("without certificate: ran %t, want %t", ran, !tt.demanded)
			}
			a.Handler(spy).ServeHTTP(httptest.NewRecorder(), post(owner, form, at))
			want := tt.path
			if want == "" {
				want = u.EscapedPath()
			}
			if got := seen.URL.EscapedPath(); got != want {
				t.Errorf("path: got %s, want %s", got, want)
			}
			if seen.URL.RawQuery != u.RawQuery {
				t.Errorf("query: got %s, want %s", seen.URL.RawQuery, u.RawQuery)
			}
			// Logs and traces can have the path that was asked for.
			if got := clientauth.OriginalURL(seen).String(); got != u.String() {
				t.Errorf("original URL: got %s, want %s", got, u)
			}
		})
	}
}

// Without an acceptable certificate nothing behind the Handler runs, and the path is the one that was asked for.
func TestHandlerRefuses(t *testing.T) {
	owner := popauthtest.SelfSigned(t, "batch")
	for _, tt := range []struct {
		name   string
		source fixed
		reason clientauth.Reason
		status int
		code   string
	}{
		{"none", fixed{}, clientauth.ErrCertificateMissing, 401, "invalid_client"},
		{"empty", fixed{certificate: &popauth.Certificate{}}, clientauth.ErrCertificateMalformed, 400, "invalid_request"},
		{"malformed", fixed{err: &popauth.Error{Reason: popauth.ErrCertificateMalformed}}, clientauth.ErrCertificateMalformed, 400,
			"invalid_request"},
		{"too large", fixed{err: popauth.ErrCertificateTooLarge}, clientauth.ErrCertificateTooLarge, 431, "invalid_request"},
		{"unavailable", fixed{err: popauth.ErrUnavailable}, clientauth.ErrUnavailable, 503, "temporarily_unavailable"},
		{"unconfigured", fixed{err: popauth.ErrUnconfigured}, clientauth.ErrUnconfigured, 500, "server_error"},
		{"forbidden", fixed{err: popauth.ErrForbidden}, clientauth.ErrCertificateUntrusted, 401, "invalid_client"},
		{"of no reason", fixed{err: errors.New("x")}, clientauth.ErrCertificateMalformed, 400, "invalid_request"},
		// An error counts even if a careless source returns a certificate with it.
		{"error and certificate", fixed{by(owner, popauth.NotVerified), errors.New("x")}, clientauth.ErrCertificateMalformed, 400,
			"invalid_request"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var refusal *clientauth.Error
			var path string
			a := newAuth(t, clientauth.Options{
				Clients:     clientauth.Static{"batch": {thumbprint(t, owner)}},
				Certificate: tt.source,
				Endpoints:   clientauth.PathPrefix("/mtls"),
				Deny: func(w http.ResponseWriter, r *http.Request, e *clientauth.Error) {
					refusal, path = e, r.URL.Path
					clientauth.WriteError(w, e)
				},
			})
			u := reference(t, "https://example.com/mtls/token")
			r := post(owner, form, func(r *http.Request) { r.URL = u })
			spy, w := &popauthtest.Spy{}, httptest.NewRecorder()
			a.Handler(spy).ServeHTTP(w, r)
			outcome{ResponseRecorder: w, ran: spy.Ran() > 0, err: refusal}.refused(t, tt.reason, tt.status, tt.code)
			if refusal == nil || refusal.Reason != tt.reason || refusal.Code() != tt.code {
				t.Errorf("got %v, want %v", refusal, tt.reason)
			}
			if path != "/mtls/token" {
				t.Errorf("path: got %s", path)
			}
			// The ordinary endpoint asks for no certificate, and for no opinion on one.
			a.Handler(spy).ServeHTTP(httptest.NewRecorder(), post(owner, form))
			if spy.Ran() != 1 {
				t.Error("an ordinary endpoint was closed")
			}
		})
	}
}

// What Handler has found belongs to one Authenticator and one connection.
func TestArrivalIsNotTransferable(t *testing.T) {
	owner := popauthtest.SelfSigned(t, "batch")
	options := clientauth.Options{Clients: clientauth.Static{"batch": {thumbprint(t, owner)}}}
	a, other := newAuth(t, options), newAuth(t, options)
	a.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, err := a.Authenticate(r); err != nil {
			t.Errorf("its own: %v", err)
		}
		if _, err := other.Authenticate(r); !errors.Is(err, clientauth.ErrOtherMethod) {
			t.Errorf("VULNERABLE: another Authenticator's: %v", err)
		}
		derived := post(nil, form).WithContext(r.Context())
		if _, err := a.Authenticate(derived); !errors.Is(err, clientauth.ErrOtherMethod) {
			t.Errorf("VULNERABLE: another connection: %v", err)
		}
	})).ServeHTTP(httptest.NewRecorder(), post(owner, form))
}

func TestHandlerNeedsAHandler(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	newAuth(t, clientauth.Options{Clients: clientauth.Static{}}).Handler(nil)
}

func TestZeroRefusesEverything(t *testing.T) {
	owner := popauthtest.SelfSigned(t, "batch")
	for _, a := range []*clientauth.Authenticator{nil, {}} {
		spy, w := &popauthtest.Spy{}, httptest.NewRecorder()
		a.Handler(spy).ServeHTTP(w, post(owner, form))
		_, err := a.Authenticate(post(owner, form))
		outcome{ResponseRecorder: w, ran: spy.Ran() > 0, err: err}.refused(t, clientauth.ErrUnconfigured, 500, "server_error")
		if got := a.Confirmation(post(owner, form)); got != (clientauth.Confirmation{}) {
			t.Errorf("Confirmation: got %v", got)
		}
		if _, err := a.Metadata("https://example.com", clientauth.EndpointURLs{}); !errors.Is(err, clientauth.ErrUnconfigured) {
			t.Errorf("Metadata: got %v", err)
		}
	}
}
