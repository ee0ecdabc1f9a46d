package clientcert_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

func TestTLSCertificate(t *testing.T) {
	l := lab.New(t)
	below := l.CA.Intermediate("between").Client("below")
	verified := below.Request("GET", "/", "")
	verified.TLS.VerifiedChains = append(verified.TLS.VerifiedChains, verified.TLS.PeerCertificates)
	plain := below.Request("GET", "/", "")
	plain.TLS = nil
	half := below.Request("GET", "/", "")
	half.TLS.HandshakeComplete = false
	for _, tt := range []struct {
		name string
		r    *http.Request
		want string
	}{
		{"none", (*popauthtest.Client)(nil).Request("GET", "/", ""), "none"},
		{"no TLS", plain, "none"},
		{"handshake not complete", half, "none"},
		{"not verified", below.Request("GET", "/", ""), below.Thumbprint() + " tls no 1"},
		{"verified", verified, below.Thumbprint() + " tls tls 1"},
	} {
		c, err := popauth.TLSCertificate().Certificate(tt.r)
		got := "none"
		if c != nil {
			got = fmt.Sprint(c.Thumbprint, " ", c.Source, " ", c.Verified, " ", len(c.Intermediates))
		}
		if got != tt.want || err != nil {
			t.Errorf("%s: got %s, %v, want %s", tt.name, got, err, tt.want)
		}
	}
	for v, want := range map[popauth.VerifiedBy]string{popauth.VerifiedByProxy: "proxy", popauth.VerifiedLocally: "local", 99: "no"} {
		if v.String() != want {
			t.Errorf("got %q, want %q", v, want)
		}
	}
}

// An outer ClientCertificate handler decides for every Guard without a source of its own: what it has not found, the
// connection does not supply.
func TestClientCertificate(t *testing.T) {
	l := lab.New(t)
	owners, err := popauth.TLSCertificate().Certificate(l.Owner.Request("GET", "/", ""))
	if err != nil {
		t.Fatal(err)
	}
	is := func(c *popauth.Certificate, err error) func(http.Handler) http.Handler {
		return popauth.ClientCertificate(lab.SourceFunc(func(*http.Request) (*popauth.Certificate, error) { return c, err }))
	}
	g := l.Guard()
	own := l.Guard(func(o *popauth.Options) { o.Certificate = popauth.TLSCertificate() })
	request := func(c *popauthtest.Client) *http.Request { return c.Request("GET", "/", l.Bound()) }

	lab.Send(lab.Chain(is(owners, nil), g.Confirm), request(nil)).Passed(t)
	lab.Send(lab.Chain(is(owners, nil), g.Confirm), request(l.Thief)).Passed(t)
	lab.Send(lab.Chain(is(nil, nil), g.Confirm), request(l.Owner)).Refused(t, 401, lab.InvalidToken)
	lab.Send(lab.Chain(is(owners, nil), own.Confirm), request(l.Thief)).Refused(t, 401, lab.InvalidToken)
	lab.Send(lab.Chain(popauth.ClientCertificate(popauth.TLSCertificate()), g.Confirm), request(l.Owner)).Passed(t)

	lab.Send(is(nil, errors.New("unreadable")), request(l.Owner)).Refused(t, 400, "")
	lab.Send(is(nil, popauth.ErrCertificateTooLarge), request(l.Owner)).Refused(t, 431, "")
	lab.Send(is(nil, fmt.Errorf("x: %w", popauth.ErrCertificateMalformed)), request(l.Owner)).Refused(t, 400, "")

	// What was found for one connection says nothing about another.
	moved := lab.Altered(func(r *http.Request) { r.TLS = l.Thief.Request("GET", "/", "").TLS })
	lab.Send(lab.Chain(is(owners, nil), moved, g.Confirm), request(l.Owner)).Refused(t, 500, "")

	var asked int
	source := lab.SourceFunc(func(*http.Request) (*popauth.Certificate, error) { asked++; return owners, nil })
	lab.Send(lab.Chain(popauth.ClientCertificate(source), g.Authenticate, g.Confirm, lab.Tap(func(r *http.Request) {
		if c, ok := popauth.CertificateFromContext(r.Context()); !ok || c.Leaf != owners.Leaf || c == owners {
			t.Errorf("got %v, %t, want a copy of the source's", c, ok)
		}
	})), request(nil)).Passed(t)
	if asked != 1 {
		t.Errorf("asked %d times, want once", asked)
	}
	if c, ok := popauth.CertificateFromContext(context.Background()); ok || c != nil {
		t.Errorf("empty context: got %v, %t", c, ok)
	}
	lab.Send(lab.Chain(is(nil, nil), lab.Tap(func(r *http.Request) {
		if c, ok := popauth.CertificateFromContext(r.Context()); ok || c != nil {
			t.Errorf("no certificate: got %v, %t", c, ok)
		}
	})), request(l.Owner)).Passed(t)
}

// What each setting of tls.Config.ClientAuth means for the binding, on a real listener.
func TestClientAuthSettings(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	known, self := l.Owner, popauthtest.SelfSigned(t, "self")
	for _, tt := range []struct {
		auth                     tls.ClientAuthType
		none, selfSigned, issued string // status, or handshake; for issued who verified too
	}{
		{tls.NoClientCert, "401", "401", "401"},
		{tls.RequestClientCert, "401", "200 no", "200 no"},
		{tls.RequireAnyClientCert, "handshake", "200 no", "200 no"},
		{tls.VerifyClientCertIfGiven, "401", "handshake", "200 tls"},
		{tls.RequireAndVerifyClientCert, "handshake", "handshake", "200 tls"},
	} {
		t.Run(tt.auth.String(), func(t *testing.T) {
			server := popauthtest.NewServer(t, g.Confirm(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				p, _ := popauth.FromContext(r.Context())
				_, _ = fmt.Fprint(w, " ", p.Certificate.Verified)
			})), func(c *tls.Config) { c.ClientAuth, c.ClientCAs = tt.auth, l.CA.Pool() })
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			for name, c := range map[string]struct {
				client *popauthtest.Client
				want   string
			}{"none": {nil, tt.none}, "self-signed": {self, tt.selfSigned}, "issued": {known, tt.issued}} {
				r, err := http.NewRequest(http.MethodGet, server.URL, nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Authorization", "Bearer "+l.Issuer.Token(c.client.Bound()))
				if c.client == nil {
					r.Header.Set("Authorization", "Bearer "+l.Bound())
				}
				got := "handshake"
				if answer, err := c.client.HTTP(server).Do(r); err == nil {
					_ = answer.Body.Close()
					got = fmt.Sprint(answer.StatusCode)
					if answer.StatusCode == 200 {
						_, _, body := lab.Fetch(t, c.client.HTTP(server), server.URL, l.Issuer.Token(c.client.Bound()))
						got += body
					}
				}
				if got != c.want {
					t.Errorf("%s: got %s, want %s", name, got, c.want)
				}
			}
		})
	}
}

// Each half of an offer to go on with HTTP/2 is one, and no handler inside gets to see it.
func TestHalfAnOfferOfHTTP2(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	for name, value := range map[string]string{"Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQAoAAAAAIAAAAA"} {
		r := l.Owner.Request("GET", "/", l.Bound())
		r.Header.Set(name, value)
		look := lab.Tap(func(r *http.Request) {
			if got := r.Header.Get(name); got != "" {
				t.Errorf("%s alone: the handler inside got %q", name, got)
			}
		})
		lab.Send(lab.Chain(g.Confirm, look), r).Passed(t)
	}
}

// The beginning of HTTP/2 on a plain connection looks like a request to HTTP/1.1. A handler inside would serve all that comes
// on it with the context of nobody.
func TestThePrefaceOfHTTP2GoesNoFurther(t *testing.T) {
	l := lab.New(t)
	for name, source := range map[string]popauth.CertificateSource{
		"TLS": popauth.TLSCertificate(), "Forwarded": lab.ByProxy(proxy.RFC9440(), proxy.TrustPeers(lab.ProxyNet)),
		"caller": popauth.CallerCertificate(),
	} {
		for outerName, outer := range map[string]func(http.Handler) http.Handler{
			"ClientCertificate":  popauth.ClientCertificate(source),
			"RequireCertificate": clientcert.Require(source, clientcert.Thumbprint(l.Owner.Thumbprint())),
			"Guard":              l.Guard(func(o *popauth.Options) { o.Certificate = source }).Authenticate,
		} {
			server := httptest.NewUnstartedServer(nil)
			spy := &popauthtest.Spy{}
			server.Config.Handler = outer(spy)
			server.Start()
			answer := lab.ExchangeRaw(t, server, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
			if !strings.HasPrefix(answer, "HTTP/1.1 400") || spy.Ran() > 0 {
				t.Errorf("%s by %s: got %.40q, ran %d, want 400", outerName, name, answer, spy.Ran())
			}
		}
	}
}
