package clientauth_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/cgi" //nolint:gosec // of Go 1.6.3 and later
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// A request that is made anew inside of a handler is another one, whatever it shares with the one that arrived; a copy
// that middleware makes of that one is the same, whatever it replaces.
func TestArrivalOfADerivedRequest(t *testing.T) {
	alice := popauthtest.SelfSigned(t, "alice")
	a := newAuth(t, clientauth.Options{
		Clients: clientauth.Static{"alice": {thumbprint(t, alice)}}, Certificate: fixed{certificate: by(alice, popauth.NotVerified)},
	})
	mallory := &tls.ConnectionState{
		HandshakeComplete: true, PeerCertificates: []*x509.Certificate{by(popauthtest.SelfSigned(t, "mallory"), popauth.NotVerified).Leaf},
	}
	anew := func(r *http.Request, target string, body io.ReadCloser) *http.Request {
		o := httptest.NewRequest(r.Method, target, nil).WithContext(r.Context())
		o.Host, o.TLS, o.Body = r.Host, r.TLS, body
		o.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return o
	}
	own := func() io.ReadCloser { return &pointed{Reader: strings.NewReader("client_id=alice")} }
	for name, tt := range map[string]struct {
		derive func(r *http.Request) *http.Request
		same   bool
	}{
		"with its header": {func(r *http.Request) *http.Request { o := anew(r, "/other", own()); o.Header = r.Header; return o }, false},
		"with its body":   {func(r *http.Request) *http.Request { return anew(r, "/other", r.Body) }, false},
		"with its URL":    {func(r *http.Request) *http.Request { o := anew(r, "/other", own()); o.URL = r.URL; return o }, false},
		"with its header, URL and body, and no line": {func(r *http.Request) *http.Request {
			o := anew(r, "/other", r.Body)
			o.Header, o.URL, o.RequestURI = r.Header, r.URL, ""
			return o
		}, false},
		"with nothing but its line": {func(r *http.Request) *http.Request { return anew(r, r.RequestURI, own()) }, false},
		"its line, and no body":     {func(r *http.Request) *http.Request { return anew(r, r.RequestURI, http.NoBody) }, false},
		"its line, and a nil body":  {func(r *http.Request) *http.Request { return anew(r, r.RequestURI, nil) }, false},
		"its line, and an equal body": {func(r *http.Request) *http.Request {
			return anew(r, r.RequestURI, io.NopCloser(strings.NewReader("client_id=alice")))
		}, false},
		"its line, and no header": {func(r *http.Request) *http.Request { o := anew(r, r.RequestURI, own()); o.Header = nil; return o },
			false},
		"its line, and an empty one": {func(r *http.Request) *http.Request {
			o := anew(r, r.RequestURI, own())
			o.Header = http.Header{}
			return o
		}, false},
		"another method":             {func(r *http.Request) *http.Request { o := *r; o.Method = "PUT"; return &o }, false},
		"another host":               {func(r *http.Request) *http.Request { o := *r; o.Host = "example.com"; return &o }, false},
		"another connection":         {func(r *http.Request) *http.Request { o := *r; o.TLS = mallory; return &o }, false},
		"a copy of the connection":   {func(r *http.Request) *http.Request { o, c := *r, *r.TLS; o.TLS = &c; return &o }, true},
		"a copy":                     {func(r *http.Request) *http.Request { o := *r; return &o }, true},
		"a copy with another URL":    {func(r *http.Request) *http.Request { o := *r; o.URL = &url.URL{Path: "/x"}; return &o }, true},
		"a copy with another header": {func(r *http.Request) *http.Request { o := *r; o.Header = r.Header.Clone(); return &o }, true},
		"a copy with another body":   {func(r *http.Request) *http.Request { o := *r; o.Body = own(); return &o }, true},
		"only the URL is the same": {func(r *http.Request) *http.Request {
			o := *r
			o.Header, o.Body = r.Header.Clone(), own()
			return &o
		}, true},
		"only the header is the same": {func(r *http.Request) *http.Request {
			o := *r
			o.URL, o.Body = &url.URL{Path: "/x"}, own()
			return &o
		}, true},
		"only the body is the same": {func(r *http.Request) *http.Request {
			o := *r
			o.URL, o.Header = &url.URL{Path: "/x"}, r.Header.Clone()
			return &o
		}, true},
		"a copy with none of the three": {func(r *http.Request) *http.Request {
			o := *r
			o.URL, o.Header, o.Body = &url.URL{Path: "/x"}, r.Header.Clone(), own()
			return &o
		}, true},
		"none of the three, and an equal line": {func(r *http.Request) *http.Request {
			o := *r
			o.URL, o.Header, o.Body, o.RequestURI = &url.URL{Path: "/x"}, r.Header.Clone(), own(), strings.Clone(r.RequestURI)
			return &o
		}, false},
		"the same, and a body of another type": {func(r *http.Request) *http.Request {
			o := *r
			o.URL, o.Header, o.RequestURI = &url.URL{Path: "/x"}, r.Header.Clone(), strings.Clone(r.RequestURI)
			o.Body = &another{pointed{Reader: strings.NewReader("client_id=alice")}}
			return &o
		}, false},
	} {
		checked := false
		a.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			o := tt.derive(r)
			_, err := a.Authenticate(o)
			if same := !errors.Is(err, clientauth.ErrOtherMethod); same != tt.same {
				t.Errorf("%s: got %v, want the request that arrived: %t", name, err, tt.same)
			}
			checked = true
		})).ServeHTTP(httptest.NewRecorder(), func() *http.Request {
			r := httptest.NewRequest("POST", "https://mtls.example.com/token", nil)
			r.Body = own()
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			return r
		}())
		if !checked {
			t.Errorf("%s: the handler did not run", name)
		}
	}
}

type another struct{ pointed }

// nothing is a body of no size: pointers to two of them may be equal.
type nothing struct{}

func (*nothing) Read([]byte) (int, error) { return 0, io.EOF }
func (*nothing) Close() error             { return nil }

// What both requests lack they don't share.
func TestArrivalWithNothingOfItsOwn(t *testing.T) {
	alice := popauthtest.SelfSigned(t, "alice")
	a := newAuth(t, clientauth.Options{
		Clients: clientauth.Static{"alice": {thumbprint(t, alice)}}, Certificate: fixed{certificate: by(alice, popauth.NotVerified)},
	})
	bare := func(r *http.Request) *http.Request {
		r.Header, r.Body = nil, &nothing{}
		return r
	}
	checked := false
	a.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, err := a.Authenticate(r); errors.Is(err, clientauth.ErrOtherMethod) {
			t.Errorf("got %v for the request that arrived", err)
		}
		other := bare(httptest.NewRequest("POST", r.RequestURI, nil).WithContext(r.Context()))
		other.Host, other.TLS = r.Host, r.TLS
		if _, err := a.Authenticate(other); !errors.Is(err, clientauth.ErrOtherMethod) {
			t.Errorf("VULNERABLE: got %v for another", err)
		}
		checked = true
	})).ServeHTTP(httptest.NewRecorder(), bare(httptest.NewRequest("POST", "https://mtls.example.com/token", nil)))
	if !checked {
		t.Error("the handler did not run")
	}
}

// Another method may take over on whatever connection: it needs no name, and a binding no host. The answer is one all the
// same.
func TestMisdirectedAlwaysBind(t *testing.T) {
	ca := popauthtest.NewCA(t)
	client := ca.Client("batch")
	clients := clientauth.Static{"batch": {{Credential: must(t)(clientauth.SubjectDN("CN=batch"))}}}
	a := newAuth(t, clientauth.Options{Clients: clients, AlwaysBind: true})
	elsewhere := func(r *http.Request) { own := *r.TLS; own.ServerName = "mtls.b.example.com"; r.TLS = &own }
	var bodies []string
	for name, tt := range map[string]struct {
		form string
		want clientauth.Reason
	}{
		"a client of other methods": {"client_id=public", clientauth.ErrOtherMethod},
		"other credentials":         {"client_id=batch&client_secret=x", clientauth.ErrOtherMethod},
		"by its name":               {"client_id=batch", clientauth.ErrMisdirected},
	} {
		r := verifiedBy(ca, client, elsewhere)
		setForm(r, tt.form)
		got := send(a, r)
		got.refused(t, tt.want, 421, "invalid_request")
		var e *clientauth.Error
		if !errors.As(got.err, &e) || e.Reason != tt.want || !errors.Is(got.err, popauth.ErrMisdirected) {
			t.Errorf("%s: got %v, want the reason %q", name, got.err, tt.want)
		}
		bodies = append(bodies, got.Body.String())
		var cnf clientauth.Confirmation
		r = verifiedBy(ca, client, elsewhere)
		setForm(r, tt.form)
		a.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			cnf = a.Confirmation(r)
		})).ServeHTTP(httptest.NewRecorder(), r)
		if cnf.Thumbprint != client.Thumbprint() {
			t.Errorf("%s: got the confirmation %+v", name, cnf)
		}
	}
	if bodies[0] != bodies[1] || bodies[0] != bodies[2] || !strings.Contains(bodies[0], "open one for this host") {
		t.Errorf("got %q, want one answer, and what to do", bodies)
	}
}

// Adapters of CGI make requests without RequestURI, and middleware clones them. Of HTTP/2 a path may be one text for all
// requests of a connection.
func TestArrivalByTextOfItsOwn(t *testing.T) {
	alice := popauthtest.SelfSigned(t, "alice")
	a := newAuth(t, clientauth.Options{
		Clients: clientauth.Static{"alice": {thumbprint(t, alice)}}, Certificate: fixed{certificate: by(alice, popauth.NotVerified)},
	})
	form := func(r *http.Request) *http.Request {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Body = io.NopCloser(strings.NewReader("client_id=alice"))
		return r
	}
	adapted := func() *http.Request {
		r, err := cgi.RequestFromMap(map[string]string{
			"REQUEST_METHOD": "POST", "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_HOST": "mtls.example.com", "HTTPS": "on",
			"REQUEST_URI": "/token",
		})
		if err != nil {
			t.Fatal(err)
		}
		return form(r)
	}
	const indexed = "/token"
	overHTTP2 := func() *http.Request {
		r := form(httptest.NewRequest("POST", "https://mtls.example.com/token", http.NoBody))
		r.RequestURI, r.Proto, r.ProtoMajor, r.ProtoMinor = indexed, "HTTP/2.0", 2, 0
		return r
	}
	for name, request := range map[string]func() *http.Request{"CGI": adapted, "HTTP/2": overHTTP2} {
		ran := false
		a.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			ran = true
			clone := r.Clone(r.Context())
			clone.Body = io.NopCloser(strings.NewReader("client_id=alice"))
			if c, err := a.Authenticate(clone); err != nil || c == nil {
				t.Errorf("%s: the clone: got %v, %v", name, c, err)
			}
			if c, err := a.Authenticate(request().WithContext(r.Context())); c != nil {
				t.Errorf("VULNERABLE: %s: another request: got %v, %v", name, c, err)
			}
		})).ServeHTTP(httptest.NewRecorder(), request())
		if !ran {
			t.Errorf("%s: the handler did not run", name)
		}
	}
}
