package refusals_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// explainer is a source of a program's own that says why it has found nothing.
type explainer struct {
	found   *popauth.Certificate
	explain func() error
	asked   int
}

func (*explainer) Headers() ([]string, error) { return nil, nil }

func (s *explainer) Certificate(*http.Request) (*popauth.Certificate, error) { return s.found, nil }

// ExplainAbsence implements popauth.AbsenceExplainer.
func (s *explainer) ExplainAbsence(*http.Request) error {
	s.asked++
	return s.explain()
}

// absent is the line of a Guard with a source, for a request without a certificate.
func absent(t *testing.T, l *lab.Lab, source popauth.CertificateSource, r *http.Request, more ...func(*popauth.Options)) string {
	t.Helper()
	var log bytes.Buffer
	g := l.Guard(func(o *popauth.Options) {
		o.Logger, o.Certificate = slog.New(slog.NewTextHandler(&log, nil)), source
		for _, change := range more {
			change(o)
		}
	})
	log.Reset()
	if out := lab.Send(g.Confirm, r); out.Ran || out.Status != http.StatusUnauthorized {
		t.Errorf("got %d, ran %t", out.Status, out.Ran)
	}
	return log.String()
}

// nobody is a request without a certificate.
func nobody(token string) *http.Request {
	return (*popauthtest.Client)(nil).Request("GET", "/orders", token)
}

type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

// An explanation is for the log alone: whatever an explainer does, the answer is the same, and the line is one of bounded length.
func TestExplainersFaults(t *testing.T) {
	l := lab.New(t)
	for _, tt := range []struct {
		name    string
		explain func() error
		says    string
	}{
		{name: "can't tell", explain: func() error { return nil }},
		{name: "panics", explain: func() error { panic("oh no") }, says: "ExplainAbsence of Options.Certificate, " +
			"a *refusals_test.explainer, has panicked: oh no"},
		{name: "typed nil", explain: func() error { return (*nilError)(nil) }, says: "has panicked"},
		{name: "huge", explain: func() error { return errors.New(strings.Repeat("x", 1<<20)) }, says: "xxx"},
		{name: "hostile", explain: func() error { return errors.New("a\nlevel=ERROR \x1b[31m\xff") }, says: `error="a?level=ERROR ?[31m?"`},
		{name: "an outage", explain: func() error { return popauth.ErrUnavailable }, says: "code=certificate_missing"},
	} {
		source := &explainer{explain: tt.explain}
		line := absent(t, l, source, nobody(l.Bound()))
		checkLine(t, tt.name, line, []string{"code=certificate_missing", tt.says})
		hostile := strings.ContainsFunc(strings.TrimSuffix(line, "\n"), func(r rune) bool { return r < ' ' || r > '~' })
		if source.asked != 1 || len(line) > 3<<10 || hostile {
			t.Errorf("%s: asked %d times, got %d bytes: %.300q", tt.name, source.asked, len(line), line)
		}
		_, err := l.Guard(func(o *popauth.Options) { o.Certificate = source }).Check(nobody(l.Bound()))
		if !errors.Is(err, popauth.ErrCertificateMissing) || errors.Is(err, popauth.ErrUnavailable) || source.asked != 2 {
			t.Errorf("%s: asked %d times, got %v, want %v alone", tt.name, source.asked, err, popauth.ErrCertificateMissing)
		}
	}
}

// An explainer is asked where a certificate is missing, and nobody has said why; of no other refusal.
func TestExplainerIsAskedOfAbsenceAlone(t *testing.T) {
	l := lab.New(t)
	source := &explainer{explain: func() error { return errors.New("not mine to say") }}
	said := &popauth.Error{Reason: popauth.ErrCertificateMissing, Err: errors.New("said already")}
	ofOwn := func(o *popauth.Options) {
		o.Confirmers = []popauth.Confirmer{absentDenier{said}}
	}
	for _, tt := range []struct {
		name, says string
		request    *http.Request
		more       []func(*popauth.Options)
	}{
		{name: "no token", request: nobody(""), says: "code=credentials_missing"},
		{name: "unbound", request: nobody(l.Unbound()), says: "code=binding_missing"},
		{name: "expired", request: nobody(l.Bound(popauthtest.Claims{"iat": 1, "exp": 2})), says: "code=token_expired"},
		{name: "said by a Confirmer", request: nobody(l.Bound()), says: "error=\"said already\"", more: []func(*popauth.Options){ofOwn}},
	} {
		line := absent(t, l, source, tt.request, tt.more...)
		if source.asked > 0 || !strings.Contains(line, tt.says) || strings.Contains(line, "not mine") {
			t.Errorf("%s: asked %d times, got %s", tt.name, source.asked, line)
		}
	}
	// A certificate was found, and the handler inside wants another: nothing is absent.
	c, err := popauth.NewCertificate(popauth.SourceTLS, l.Owner.Certificate.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	source.found = c
	var log bytes.Buffer
	line := popauth.RequestLine{Logger: slog.New(slog.NewTextHandler(&log, nil))}
	h := lab.Chain(line.Handler, popauth.ClientCertificate(source))(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		popauth.Refuse(w, r, popauth.ErrCertificateRequired)
	}))
	h.ServeHTTP(httptest.NewRecorder(), nobody(""))
	if source.asked > 0 || !strings.Contains(log.String(), "code=certificate_required") {
		t.Errorf("asked %d times, got %s", source.asked, &log)
	}
}

// absentDenier is a Confirmer for certificates that refuses.
type absentDenier struct{ err error }

func (absentDenier) Member() string { return "x5t#S256" }

func (c absentDenier) Confirm(*http.Request, popauth.Presentation) error { return c.err }

// The line says what kind of server or proxy it is that has asked for no certificate, and names its own headers alone.
func TestAbsenceByServerAndProxy(t *testing.T) {
	l := lab.New(t)
	const secret = "0123456789abcdef"
	verified, err := clientcert.Verified(popauth.TLSCertificate(), clientcert.Verification{Roots: l.CA.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	nginx := proxy.Nginx("X-SSL-Client-Cert", "X-SSL-Client-Verify")
	bySecret, err := proxy.Certificate(nginx, proxy.TrustSecret("X-Proxy-Secret", secret))
	if err != nil {
		t.Fatal(err)
	}
	byPeer := lab.ByProxy(nginx, proxy.TrustPeers(netip.MustParsePrefix("10.0.0.0/8")))
	byEvent, err := proxy.APIGateway(func(context.Context) (string, bool) { return "", true })
	if err != nil {
		t.Fatal(err)
	}
	via := func(peer string, change func(http.Header)) *http.Request {
		r := (*popauthtest.Client)(nil).RequestVia(nginx, peer, "GET", "/orders", l.Bound())
		change(r.Header)
		return r
	}
	bare := func(h http.Header) {
		h.Del("X-SSL-Client-Cert")
		h.Del("X-SSL-Client-Verify")
	}
	for _, tt := range []struct {
		name    string
		source  popauth.CertificateSource
		request *http.Request
		says    string
		not     []string
	}{
		{name: "no server of net/http's", request: nobody(l.Bound()), says: "the connection's client has shown none"},
		{name: "verified", source: verified, request: nobody(l.Bound()), says: "the connection's client has shown none"},
		{name: "a long peer", source: byPeer, request: via(strings.Repeat("x", 1<<20), bare),
			says: `the peer, \"` + strings.Repeat("x", 64) + `\"`},
		{name: "a secret alone", source: bySecret, says: "has sent none of X-Ssl-Client-Cert, X-Ssl-Client-Verify:",
			request: via("10.0.0.1:1",
				func(h http.Header) {
					bare(h)
					h.Set("X-Proxy-Secret", secret)
				}), not: []string{"X-Proxy-Secret", "the request has"}},
		{name: "the proxy says that there is none", source: byPeer, request: via("10.0.0.1:1", func(h http.Header) {
			h.Set("X-SSL-Client-Verify", "NONE")
		}), says: "has said by X-Ssl-Client-Cert, X-Ssl-Client-Verify that its client has shown none"},
		{name: "past the proxy, with its header", source: byPeer, request: via("203.0.113.9:1", func(h http.Header) {
			h.Set("X-SSL-Client-Verify", "SUCCESS")
		}), says: "so what it sent in X-Ssl-Client-Cert, X-Ssl-Client-Verify was ignored", not: []string{"the request has"}},
		{name: "an event", source: byEvent, request: via("192.0.2.7", func(h http.Header) {
			bare(h)
			h.Set("X-GoLambdaProxy-ApiGw-Context", "{}")
			h.Set("Client-Cert", "x")
		}), says: "has no certificate, by its own account: ", not: []string{"GoLambda", "Golambda", "has sent none of"}},
		{name: "another's header beside", source: byPeer, request: via("10.0.0.1:1", func(h http.Header) {
			bare(h)
			h.Set("Client-Cert", "x")
		}), says: "the request has Client-Cert, which Options.Certificate doesn't read"},
	} {
		line := absent(t, l, tt.source, tt.request)
		checkLine(t, tt.name, line, []string{"code=certificate_missing"})
		if !strings.Contains(line, tt.says) || len(line) > 2<<10 {
			t.Errorf("%s: got %.2000s, want %s", tt.name, line, tt.says)
		}
		for _, not := range tt.not {
			if strings.Contains(line, not) {
				t.Errorf("%s: got %s, with %s", tt.name, line, not)
			}
		}
	}
}

// A server that chooses its configuration by the handshake may ask for certificates there: that it does not isn't known.
func TestAbsenceWithGetConfigForClient(t *testing.T) {
	l := lab.New(t)
	var log bytes.Buffer
	g := l.Guard(func(o *popauth.Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	s := httptest.NewUnstartedServer(g.Confirm(&popauthtest.Spy{}))
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	s.TLS.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		c := s.TLS.Clone()
		c.ClientAuth = tls.RequestClientCert
		return c, nil
	}
	s.Config.TLSConfig = s.TLS
	s.StartTLS()
	defer s.Close()
	log.Reset()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/orders", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+l.Bound())
	resp, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	checkLine(t, "GetConfigForClient", log.String(), []string{"was asked for one, and has shown none"})
}
