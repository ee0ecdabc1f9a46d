package clientauth_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// permits is an authority that is permitted to name one organization only.
func permits(t *testing.T, org string, critical bool) func(*x509.Certificate) {
	t.Helper()
	marshal := func(v any) []byte {
		b, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	nested := func(class, tag int, content []byte) []byte {
		return marshal(asn1.RawValue{Class: class, Tag: tag, IsCompound: true, Bytes: content})
	}
	name := marshal(pkix.Name{Organization: []string{org}}.ToRDNSequence())
	subtree := nested(asn1.ClassUniversal, asn1.TagSequence, nested(asn1.ClassContextSpecific, 4, name))
	value := nested(asn1.ClassUniversal, asn1.TagSequence, nested(asn1.ClassContextSpecific, 0, subtree))
	return func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions,
			pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 30}, Critical: critical, Value: value})
	}
}

// verifiedBy is a client's request over a connection whose chain the TLS stack has verified.
func verifiedBy(root *popauthtest.CA, c *popauthtest.Client, change ...func(*http.Request)) *http.Request {
	r := post(c, form, change...)
	r.TLS.VerifiedChains = [][]*x509.Certificate{append(append([]*x509.Certificate(nil), r.TLS.PeerCertificates...), root.Certificate)}
	return r
}

// A partner's authority, which may name its own only, names a client of ours.
func TestNameConstraints(t *testing.T) {
	root := popauthtest.NewCA(t)
	clients := clientauth.Static{"batch": {{Credential: must(t)(clientauth.SubjectDN("CN=batch,O=Example"))}}}
	for _, tt := range []struct {
		org      string
		critical bool
		passes   bool
	}{{"Partner", false, false}, {"Partner", true, false}, {"Example", false, true}, {"Example", true, true}} {
		client := root.Intermediate("Partner CA", permits(t, tt.org, tt.critical)).Client("batch", func(c *x509.Certificate) {
			c.Subject = pkix.Name{CommonName: "batch", Organization: []string{"Example"}}
		})
		for name, o := range map[string]clientauth.Options{"Roots": {Clients: clients, Roots: root.Pool()}, "TLS": {Clients: clients}} {
			got := send(newAuth(t, o), verifiedBy(root, client))
			if tt.passes {
				got.passed(t, "batch")
				continue
			}
			got.refused(t, clientauth.ErrCertificateUntrusted, 401, "invalid_client")
			if got.err == nil || !strings.Contains(got.err.Error(), "name constraints of") {
				t.Errorf("%s: got %v, want the rule and what was compared", name, got.err)
			}
		}
	}
}

// A connection for another tenant's host, whose authority names a client like ours.
func TestMisdirected(t *testing.T) {
	ca := popauthtest.NewCA(t)
	client := ca.Client("batch")
	pinned := ca.Client("till")
	clients := clientauth.Static{"batch": {{Credential: must(t)(clientauth.SubjectDN("CN=batch"))}}, "till": {thumbprint(t, pinned)}}
	elsewhere := func(r *http.Request) { own := *r.TLS; own.ServerName = "mtls.b.example.com"; r.TLS = &own }
	a := newAuth(t, clientauth.Options{Clients: clients})
	send(a, verifiedBy(ca, client)).passed(t, "batch")
	// One answer for a client that fits, another one, and nobody: who is registered must not show.
	var bodies []string
	for _, r := range []*http.Request{
		verifiedBy(ca, client, elsewhere), verifiedBy(ca, ca.Client("other"), elsewhere),
		func() *http.Request { r := verifiedBy(ca, client, elsewhere); setForm(r, "client_id=nobody"); return r }(),
	} {
		got := send(a, r)
		got.refused(t, clientauth.ErrMisdirected, 421, "invalid_request")
		if !errors.Is(got.err, popauth.ErrMisdirected) || !strings.Contains(got.err.Error(), "mtls.b.example.com") {
			t.Errorf("got %v, want what was compared", got.err)
		}
		bodies = append(bodies, got.Body.String())
	}
	if bodies[0] != bodies[1] || bodies[0] != bodies[2] {
		t.Errorf("got %q, want one answer", bodies)
	}
	// A registered certificate needs no authority, Roots of one's own need no connection, and one may have said so.
	r := verifiedBy(ca, pinned, elsewhere)
	setForm(r, "client_id=till")
	send(a, r).passed(t, "till")
	send(newAuth(t, clientauth.Options{Clients: clients, Roots: ca.Pool()}), verifiedBy(ca, client, elsewhere)).passed(t, "batch")
	send(newAuth(t, clientauth.Options{Clients: clients, Roots: ca.Pool()}), verifiedBy(ca, ca.Client("x"), elsewhere)).refused(t,
		clientauth.ErrCertificateMismatch, 401, "invalid_client")
	send(newAuth(t, clientauth.Options{Clients: clients, Certificate: popauth.TLSCertificateAnyHost()}),
		verifiedBy(ca, client, elsewhere)).passed(t, "batch")
	// A source of one's own that refuses like that.
	refusing := fixed{err: &popauth.Error{Reason: popauth.ErrMisdirected}}
	send(newAuth(t, clientauth.Options{Clients: clients, Certificate: refusing}), post(client, form)).refused(t,
		clientauth.ErrMisdirected, 421, "invalid_request")
}

func setForm(r *http.Request, form string) {
	own := httptest.NewRequest("POST", "https://mtls.example.com/token", strings.NewReader(form))
	r.Body, r.ContentLength = own.Body, own.ContentLength
}

// The arrival of one request authenticates no other one, in whose context it may be: over plain text from a proxy there
// is no connection to tell them apart by.
func TestArrivalOfAnotherRequest(t *testing.T) {
	alice := popauthtest.SelfSigned(t, "alice")
	a := newAuth(t, clientauth.Options{
		Clients:     clientauth.Static{"alice": {thumbprint(t, alice)}},
		Certificate: fixed{certificate: by(alice, popauth.NotVerified)}, AlwaysBind: true,
	})
	request := func(ctx context.Context, host string) *http.Request {
		r := httptest.NewRequest("POST", "http://"+host+"/token", strings.NewReader("client_id=alice")).WithContext(ctx)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return r
	}
	checked := 0
	a.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		empty := request(r.Context(), r.Host)
		empty.Body = http.NoBody
		otherHost := r.Clone(r.Context())
		otherHost.Host = "other.example.com"
		for name, other := range map[string]*http.Request{
			"another host": request(r.Context(), "other.example.com"), "the same host": request(r.Context(), r.Host),
			"no body": empty, "no header": func() *http.Request { o := request(r.Context(), r.Host); o.Header = nil; return o }(),
			"a copy for another host": otherHost,
		} {
			if c, err := a.Authenticate(other); c != nil || !errors.Is(err, clientauth.ErrOtherMethod) {
				t.Errorf("VULNERABLE: %s: got %+v, %v", name, c, err)
			}
			if c := a.Confirmation(other); c != (clientauth.Confirmation{}) {
				t.Errorf("VULNERABLE: %s: got the confirmation %v", name, c)
			}
			if u := clientauth.OriginalURL(other); u != other.URL {
				t.Errorf("%s: got the URL %v of another request", name, u)
			}
			checked++
		}
	})).ServeHTTP(httptest.NewRecorder(), request(t.Context(), "mtls.example.com"))
	if checked != 5 {
		t.Errorf("got %d, want 5", checked)
	}
}

// pointed is a body that is a pointer, as those of net/http are.
type pointed struct{ io.Reader }

func (*pointed) Close() error { return nil }

// What middleware makes of a request is the same one.
func TestArrivalThroughMiddleware(t *testing.T) {
	alice := popauthtest.SelfSigned(t, "alice")
	a := newAuth(t, clientauth.Options{
		Clients:     clientauth.Static{"alice": {thumbprint(t, alice)}},
		Certificate: fixed{certificate: by(alice, popauth.NotVerified)},
	})
	for name, middleware := range map[string]func(http.Handler) http.Handler{
		"StripPrefix":     func(h http.Handler) http.Handler { return http.StripPrefix("/tok", h) },
		"MaxBytesHandler": func(h http.Handler) http.Handler { return http.MaxBytesHandler(h, 1000) },
		"both":            func(h http.Handler) http.Handler { return http.StripPrefix("/tok", http.MaxBytesHandler(h, 1000)) },
		"Clone": func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(w, r.Clone(r.Context())) })
		},
		"Authenticate, then Clone": func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = a.Authenticate(r)
				h.ServeHTTP(w, r.Clone(r.Context()))
			})
		},
		"WithContext": func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(w, r.WithContext(r.Context())) })
		},
	} {
		ran := false
		h := middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if c, err := a.Authenticate(r); err == nil && c.ID == "alice" && clientauth.OriginalURL(r).Path == "/token" {
				ran = true
			}
		}))
		r := httptest.NewRequest("POST", "http://mtls.example.com/token", &pointed{Reader: strings.NewReader("client_id=alice")})
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		a.Handler(h).ServeHTTP(httptest.NewRecorder(), r)
		if !ran {
			t.Errorf("%s: not authenticated", name)
		}
	}
}

// Until the handshake is complete nobody has proven to hold a key.
func TestEarlyData(t *testing.T) {
	ca := popauthtest.NewCA(t)
	client := ca.Client("batch")
	a := newAuth(t, clientauth.Options{Clients: clientauth.Static{"batch": {{Credential: must(t)(clientauth.SubjectDN("CN=batch"))}}}})
	send(a, verifiedBy(ca, client)).passed(t, "batch")
	unfinished := func(r *http.Request) { own := *r.TLS; own.HandshakeComplete = false; r.TLS = &own }
	for name, r := range map[string]*http.Request{"marked": verifiedBy(ca, client, header("Early-Data", "1")),
		"unfinished": verifiedBy(ca, client, unfinished)} {
		ran := false
		w := httptest.NewRecorder()
		a.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran = true })).ServeHTTP(w, r)
		if w.Code != http.StatusTooEarly || ran {
			t.Errorf("%s: got %d, ran %t, want 425", name, w.Code, ran)
		}
	}
}
