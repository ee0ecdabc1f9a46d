package clientauth_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientauth"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// fixed is a source that has one answer.
type fixed struct {
	certificate *popauth.Certificate
	err         error
}

func (f fixed) Certificate(*http.Request) (*popauth.Certificate, error) { return f.certificate, f.err }

func (fixed) Headers() ([]string, error) { return nil, nil }

// by is a certificate of a client, and who has verified it.
func by(c *popauthtest.Client, v popauth.VerifiedBy) *popauth.Certificate {
	r := c.Request("GET", "/", "")
	found, _ := popauth.TLSCertificate().Certificate(r)
	found.Verified = v
	return found
}

func must(t testing.TB) func(clientauth.Credential, error) clientauth.Credential {
	return func(c clientauth.Credential, err error) clientauth.Credential {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
}

// thumbprint is the registration of a client's very certificate.
func thumbprint(t testing.TB, c *popauthtest.Client) clientauth.Registration {
	t.Helper()
	return clientauth.Registration{Credential: must(t)(clientauth.Thumbprint(c.Thumbprint()))}
}

func newAuth(t testing.TB, o clientauth.Options) *clientauth.Authenticator {
	t.Helper()
	if reflect.ValueOf(o.Endpoints).IsZero() {
		o.Endpoints = clientauth.Domain("mtls.example.com")
	}
	a, err := clientauth.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// post is a request of a client to the token endpoint that demands a certificate.
func post(c *popauthtest.Client, form string, change ...func(*http.Request)) *http.Request {
	own := c.Request("POST", "https://mtls.example.com/token", "")
	r := httptest.NewRequest("POST", "https://mtls.example.com/token", strings.NewReader(form))
	r.TLS = own.TLS
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, f := range change {
		f(r)
	}
	return r
}

func header(name string, values ...string) func(*http.Request) {
	return func(r *http.Request) { r.Header[name] = values }
}

// outcome is what a token endpoint made of a request.
type outcome struct {
	*httptest.ResponseRecorder
	ran    bool // the endpoint's own code, which has authenticated
	client *clientauth.Client
	err    error
	path   string
}

func send(a *clientauth.Authenticator, r *http.Request) outcome {
	o := outcome{ResponseRecorder: httptest.NewRecorder()}
	a.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.path = r.URL.Path
		if o.client, o.err = a.Authenticate(r); o.err != nil {
			clientauth.WriteError(w, o.err)
			return
		}
		o.ran = true
	})).ServeHTTP(o, r)
	return o
}

func (o outcome) passed(t testing.TB, id string) {
	t.Helper()
	if !o.ran || o.err != nil || o.Code != http.StatusOK || o.client == nil || o.client.ID != id {
		t.Errorf("got %d %s, error %v, client %+v, want %s", o.Code, o.Body, o.err, o.client, id)
	}
}

// refused holds an outcome against the answer that RFC 6749, section 5.2, has for it.
func (o outcome) refused(t testing.TB, reason clientauth.Reason, status int, code string) {
	t.Helper()
	if o.ran || o.client != nil {
		t.Error("VULNERABLE: the request was accepted")
	}
	if o.err != nil && !errors.Is(o.err, reason) {
		t.Errorf("got %v, want %v", o.err, reason)
	}
	if o.Code != status || !strings.HasPrefix(o.Body.String(), `{"error":"`+code+`","error_description":"`) {
		t.Errorf("got %d %s, want %d %s", o.Code, o.Body, status, code)
	}
	h := o.Header()
	if h.Get("Cache-Control") != "no-store" || h.Get("Content-Type") != "application/json" {
		t.Errorf("got headers %v", h)
	}
}

const form = "grant_type=client_credentials&client_id=batch"

func reference(t testing.TB, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// byProxy is the source of an API behind a proxy.
func byProxy(format proxy.Format, trust ...proxy.Trust) popauth.CertificateSource {
	source, err := proxy.Certificate(format, trust...)
	if err != nil {
		panic(err)
	}
	return source
}
