package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// A handler makes requests of what a client has sent, with the context of its own request. Over HTTP/2 the text of "/" is a
// constant, which other requests have, too.
func TestARequestInsideWithAConstantLine(t *testing.T) {
	l := lab.New(t)
	source := popauth.CertificateFunc(func(r *http.Request) (*popauth.Certificate, error) {
		if r.Header.Get("X-Edge") == "" {
			return nil, nil
		}
		return popauth.NewCertificate("edge", l.Owner.Certificate.Certificate[0])
	}, "X-Edge")
	spy := &popauthtest.Spy{}
	route := clientcert.Require(nil, clientcert.Thumbprint(l.Owner.Thumbprint()))(spy)
	guard := l.Guard().Confirm(spy)
	token := l.Bound()
	for _, isHTTP2 := range []bool{false, true} {
		asked := 0
		s := httptest.NewUnstartedServer(popauth.ClientCertificate(source)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			for _, line := range []string{"/", (&url.URL{Host: "example.com"}).RequestURI(), string([]byte(r.RequestURI)),
				strings.Clone("/")} {
				for name, h := range map[string]http.Handler{"RequireCertificate": route, "Guard": guard} {
					message := &http.Request{Method: "GET", RequestURI: line, URL: &url.URL{Path: "/"}, Host: r.Host, Body: http.NoBody,
						TLS: r.TLS, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
						Header: http.Header{"Authorization": {"Bearer " + token}}}
					w := httptest.NewRecorder()
					if h.ServeHTTP(w, message.WithContext(r.Context())); w.Code != 500 || spy.Ran() > 0 {
						t.Errorf("VULNERABLE: %s, %s: got %d, ran %d, want 500", r.Proto, name, w.Code, spy.Ran())
					}
					asked++
				}
			}
		})))
		s.EnableHTTP2 = isHTTP2
		s.StartTLS()
		r, err := http.NewRequest("GET", s.URL+"/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Edge", "yes")
		answer, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		s.Close()
		if asked != 8 || (answer.ProtoMajor == 2) != isHTTP2 {
			t.Errorf("%s: asked %d times", answer.Proto, asked)
		}
	}
}

// A client behind the proxy that gets a handler to take the connection over writes the headers of what comes next itself.
func TestATunnelIsNotTheProxy(t *testing.T) {
	l := lab.New(t)
	loopback := proxy.TrustPeers(netip.MustParsePrefix("127.0.0.0/8"))
	source := lab.ByProxy(proxy.RFC9440(), loopback)
	verifiedSource, err := clientcert.Verified(source, clientcert.Verification{Roots: l.CA.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	custom := popauth.CertificateFunc(source.Certificate, "Client-Cert")
	byHand := popauth.CertificateFunc(func(r *http.Request) (*popauth.Certificate, error) {
		if r.Header.Get("Client-Cert") == "" || !strings.HasPrefix(r.RemoteAddr, "127.") {
			return nil, nil
		}
		return popauth.NewCertificate("own", l.Owner.Certificate.Certificate[0])
	}, "Client-Cert")
	guard := func(s popauth.CertificateSource) func(http.Handler) http.Handler {
		return l.Guard(func(o *popauth.Options) { o.Certificate = s }).Confirm
	}
	outer := lab.Chain(popauth.ClientCertificate(source), l.Guard().Confirm)
	own := clientcert.Thumbprint(l.Owner.Thumbprint())
	for name, inner := range map[string]func(http.Handler) http.Handler{
		"Guard":              guard(source),
		"Verified":           guard(verifiedSource),
		"wrapped":            guard(wrapped{source}),
		"a function of it":   guard(custom),
		"a function":         guard(byHand),
		"ClientCertificate":  lab.Chain(popauth.ClientCertificate(source), l.Guard().Confirm),
		"RequireCertificate": clientcert.Require(source, own),
		"CheckCertificate": func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if _, err := clientcert.Check(r, byHand, own); err != nil {
					w.WriteHeader(500)
					return
				}
				next.ServeHTTP(w, r)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			spy := &popauthtest.Spy{}
			api := httptest.NewServer(outer(takeOver(inner(spy))))
			defer api.Close()
			ask := throughProxy(t, api.URL, l.Thief)
			stolen := "Authorization: Bearer " + l.Bound() + "\r\nClient-Cert: " + lab.ClientCert(l.Owner) + "\r\n"
			if got := ask(stolen); got != 401 {
				t.Fatalf("thief: got %d, want 401", got)
			}
			upgrade := "Connection: Upgrade\r\nUpgrade: tunnel\r\n"
			if got := ask(upgrade + "Authorization: Bearer " + l.Issuer.Token(l.Thief.Bound()) + "\r\n"); got != 101 {
				t.Fatalf("as himself: got %d, want the connection", got)
			}
			if got := ask(stolen); got != 500 || spy.Ran() > 0 {
				t.Errorf("VULNERABLE: thief inside: got %d, ran %d, want 500", got, spy.Ran())
			}
		})
	}
}

// throughProxy returns a client's connection through a proxy that reports its certificate, and hands an upgraded
// connection through.
func throughProxy(t *testing.T, api string, client *popauthtest.Client) func(header string) (status int) {
	t.Helper()
	target, err := url.Parse(api)
	if err != nil {
		t.Fatal(err)
	}
	proxyAddress := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(target)
		p.Out.Header.Set("Client-Cert", lab.ClientCert(client))
	}})
	t.Cleanup(proxyAddress.Close)
	c, err := net.Dial("tcp", proxyAddress.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	in := bufio.NewReader(c)
	return func(header string) int {
		t.Helper()
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: api\r\n"+header+"\r\n")
		answer, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if answer.StatusCode != http.StatusSwitchingProtocols {
			_, _ = io.Copy(io.Discard, answer.Body)
		}
		return answer.StatusCode
	}
}

// Nor do the proxy's other headers count there, with or without its secret.
func TestAnotherRequestIsNotThePeers(t *testing.T) {
	const secret = "0123456789abcdef"
	trust := []proxy.Trust{proxy.TrustPeers(lab.ProxyNet), proxy.TrustSecret("X-Proxy-Secret", secret)}
	peer, err := proxy.Trusted(trust...)
	if err != nil {
		t.Fatal(err)
	}
	find, err := proxy.URL(proxy.URLHeaders{Host: "X-Forwarded-Host"}, trust...)
	if err != nil {
		t.Fatal(err)
	}
	request := func(ctx context.Context) *http.Request {
		return lab.ViaProxy("", "X-Proxy-Secret", secret, "X-Forwarded-Host", "api.example.com").WithContext(ctx)
	}
	if r := request(t.Context()); peer.Check(r) != nil || find(r) == nil {
		t.Fatal("the proxy is not known")
	}
	lab.Send(popauth.ClientCertificate(popauth.TLSCertificate()), request(t.Context())).Passed(t)
	popauth.ClientCertificate(popauth.TLSCertificate())(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if peer.Check(r) != nil || peer.Check(r.Clone(r.Context())) != nil || find(r) == nil {
			t.Error("the request itself is refused")
		}
		other := request(r.Context())
		if err := peer.Check(other); !errors.Is(err, popauth.ErrAnotherRequest) || !strings.Contains(err.Error(), "RequestURI") {
			t.Errorf("got %v, want %s and what to change", err, popauth.ErrAnotherRequest)
		}
		if u := find(other); u != nil {
			t.Errorf("got %s, want none", u)
		}
	})).ServeHTTP(httptest.NewRecorder(), request(t.Context()))
}
