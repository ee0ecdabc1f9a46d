package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// overProxyTLS is a request over the proxy's own mutual TLS, whose certificate the server has verified.
func overProxyTLS(proxyCert *popauthtest.Client, token, header string) *http.Request {
	r := lab.ViaProxy(token)
	r.TLS = proxyCert.Request("GET", "http://example.com/", "").TLS
	if header != "" {
		r.Header.Set("Client-Cert", header)
	}
	return r
}

// What an outer handler has found counts for all inside: that it has found none, too. The connection's certificate is the
// proxy's.
func TestWhatAGuardHasFoundStaysFound(t *testing.T) {
	l := lab.New(t)
	gateway := l.CA.Client("gateway")
	source := lab.ByProxy(proxy.RFC9440(), proxy.TrustPeers(lab.ProxyNet))
	outer := l.Guard(func(o *popauth.Options) { o.Certificate = source })
	inner := l.Guard()
	verified, err := clientcert.Verified(popauth.CallerCertificate(), clientcert.Verification{Roots: l.CA.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	gateways := l.Issuer.Token(gateway.Bound())
	copied := lab.Altered(func(r *http.Request) { c := *r.TLS; r.TLS = &c })
	check := func(source popauth.CertificateSource) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if _, err := clientcert.Check(r, source, clientcert.Thumbprint(gateway.Thumbprint())); err != nil {
					w.WriteHeader(http.StatusForbidden)
					return
				}
				next.ServeHTTP(w, r)
			})
		}
	}
	for stageName, stage := range map[string]func(http.Handler) http.Handler{
		"Guard": outer.Authenticate, "ClientCertificate": popauth.ClientCertificate(source),
		"wrapped": popauth.ClientCertificate(wrapped{source}),
	} {
		for between, middleware := range map[string]func(http.Handler) http.Handler{
			"nothing": lab.Chain(), "a copy of r.TLS": copied, "a clone": lab.Altered(func(*http.Request) {}),
			"another Guard": l.Guard(func(o *popauth.Options) { o.Certificate = popauth.CallerCertificate() }).Authenticate,
		} {
			for name, inside := range map[string]struct {
				handler func(http.Handler) http.Handler
				token   string
			}{
				"RequireCertificate": {clientcert.Require(nil, clientcert.Thumbprint(gateway.Thumbprint())), l.Unbound()},
				"CheckCertificate":   {check(nil), l.Unbound()},
				"CallerCertificate":  {check(popauth.CallerCertificate()), l.Unbound()},
				"Verified":           {check(verified), l.Unbound()},
				"Guard":              {inner.Confirm, gateways},
			} {
				t.Run(stageName+", "+between+", "+name, func(t *testing.T) {
					if stageName == "Guard" && name == "Guard" {
						stage = lab.Chain(outer.Authorize(popauth.PolicyFunc(func(*http.Request, *popauth.Principal) error { return nil })))
					}
					for _, header := range []string{"", lab.ClientCert(l.Thief)} {
						if o := lab.Send(lab.Chain(stage, middleware, inside.handler),
							overProxyTLS(gateway, inside.token, header)); o.Ran || o.Status == 200 {
							t.Errorf("header %.10q: the proxy's certificate was taken for the caller's: %d", header, o.Status)
						}
					}
				})
			}
		}
	}
	// And what it has found is there.
	token := l.Bound()
	lab.Send(lab.Chain(outer.Authenticate, clientcert.Require(nil, clientcert.Thumbprint(l.Owner.Thumbprint())), inner.Confirm),
		overProxyTLS(gateway, token, lab.ClientCert(l.Owner))).Passed(t)
}

// Two Guards may pass a request to each other: each decides once.
func TestInterleavedGuards(t *testing.T) {
	l := lab.New(t)
	key := popauthtest.NewProofKey(t, "")
	dpop := func(o *popauth.Options) { o.Confirmers = []popauth.Confirmer{lab.Proofs(dpop.Options{})} }
	token := l.Issuer.Token(key.Bound())
	request := func() *http.Request {
		return key.Request("GET", "http://example.com/orders", token, popauthtest.Claims{"iat": l.Clock.Now().Unix()})
	}
	for name, configure := range map[string]func(*popauth.Options){
		"caller's": func(*popauth.Options) {},
		"own":      func(o *popauth.Options) { o.Certificate = popauth.TLSCertificate() },
		"forwarded": func(o *popauth.Options) {
			o.Certificate = lab.ByProxy(proxy.RFC9440(), proxy.TrustPeers(lab.ProxyNet))
		},
	} {
		a, b := l.Guard(dpop, configure), l.Guard(dpop)
		lab.Send(lab.Chain(a.Authenticate, b.Authenticate, a.Confirm, b.Confirm), request()).Passed(t)
		lab.Send(lab.Chain(a.Authenticate, b.Authenticate, popauth.ClientCertificate(popauth.TLSCertificate()), a.Confirm, b.Confirm,
			a.Confirm), request()).Passed(t)
		r := request()
		lab.Send(lab.Chain(a.Authenticate, b.Authenticate, a.Confirm, b.Confirm), r).Passed(t)
		if o := lab.Send(a.Authenticate, r); o.Ran {
			t.Errorf("%s: the proof passed again", name)
		}
	}
}

// Decide hands on what a stage hands on.
func TestDecide(t *testing.T) {
	l := lab.New(t)
	key := popauthtest.NewProofKey(t, "")
	nonces := dpop.StatelessNonces{Secrets: [][]byte{make([]byte, 32)}}
	g := l.Guard(func(o *popauth.Options) {
		o.Confirmers = []popauth.Confirmer{lab.Proofs(dpop.Options{Nonces: nonces})}
	})
	token := l.Issuer.Token(key.Bound())
	request := func(nonce string) *http.Request {
		return key.Request("GET", "http://example.com/orders", token, popauthtest.Claims{"iat": l.Clock.Now().Unix(), "nonce": nonce})
	}
	_, err := g.Decide(request(""))
	var refusal *popauth.Error
	if !errors.As(err, &refusal) || refusal.Reason != popauth.ErrNonceRequired || refusal.Header().Get("DPoP-Nonce") == "" {
		t.Fatalf("got %v, want the nonce", err)
	}
	nonce := refusal.Header().Get("DPoP-Nonce")
	l.Clock.Advance(4 * time.Minute) // more than half of its life
	d, err := g.Decide(request(nonce), popauth.Bound())
	if err != nil {
		t.Fatal(err)
	}
	if next := d.Header.Get("DPoP-Nonce"); next == "" || next == nonce {
		t.Errorf("got nonce %q, want the next one", next)
	}
	if d.Principal.Subject != "client-1" {
		t.Errorf("got %q", d.Principal.Subject)
	}
	lab.Send(g.Confirm, d.Request).Passed(t) // the proof is not used again
	if p, ok := popauth.FromContext(d.Request.Context()); !ok || p.Subject != "client-1" {
		t.Errorf("got %v, %t", p, ok)
	}
	if d, err := g.Decide(request("x")); d != nil || err == nil {
		t.Errorf("got %v, %v, want a refusal", d, err)
	}
}

// What a source or a Check calls "missing" is no challenge where there is no token to ask for.
func TestACertificateRouteNeverAnswers401(t *testing.T) {
	l := lab.New(t)
	for _, reason := range []popauth.Reason{popauth.ErrCertificateMissing, popauth.ErrCertificateMismatch, popauth.ErrTokenRevoked,
		popauth.ErrCredentialsMissing, "mine"} {
		failing := lab.SourceFunc(func(*http.Request) (*popauth.Certificate, error) { return nil, reason })
		checked, err := clientcert.Verified(popauth.TLSCertificate(),
			clientcert.Verification{Roots: l.CA.Pool(), Check: func(*http.Request, *popauth.Certificate) error { return reason }})
		if err != nil {
			t.Fatal(err)
		}
		for name, source := range map[string]popauth.CertificateSource{"source": failing, "Check": checked} {
			r := l.Owner.Request("GET", "/", "")
			lab.Send(clientcert.Require(source), r).Refused(t, 403, "")
			lab.Send(popauth.ClientCertificate(source), r).Refused(t, 403, "")
			_, err := clientcert.Check(r, source)
			var refusal *popauth.Error
			if !errors.As(err, &refusal) || refusal.Status() != 403 {
				t.Errorf("%s, %s: CheckCertificate: got %v, want 403 as RequireCertificate", name, reason, err)
			}
		}
	}
}

type address struct{ net.Addr }

func (a address) RemoteAddr() net.Addr { return a.Addr }

// The connections of HTTP/3 are no net.Conn.
func TestWithPeer(t *testing.T) {
	trusted, err := proxy.Trusted(proxy.TrustPeers(netip.MustParsePrefix("10.0.0.0/8")))
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]bool{"10.0.0.1": true, "192.0.2.1": false} {
		r := lab.ViaProxy("")
		r.RemoteAddr = map[bool]string{true: stranger, false: lab.ProxyAddress}[want] // what a handler may have set
		r = r.WithContext(proxy.WithPeer(r.Context(), address{&net.UDPAddr{IP: net.ParseIP(at), Port: 443}}))
		if err := trusted.Check(r); (err == nil) != want {
			t.Errorf("%s: got %v", at, err)
		}
	}
}

// go vet finds whoever copies what has a Lock method.
func TestAGuardIsNotCopied(t *testing.T) {
	f, ok := reflect.TypeFor[popauth.Guard]().FieldByName("_")
	if !ok || !reflect.PointerTo(f.Type).Implements(reflect.TypeFor[sync.Locker]()) {
		t.Error("no member that go vet reports a copy of")
	}
}

// A server that a handler inside starts on the connection that it has taken over gives its requests the first one's
// context. They are nobody's, until they have been decided on.
func TestAContextIsWorthNothingForAnotherRequest(t *testing.T) {
	l := lab.New(t)
	source := lab.ByProxy(proxy.RFC9440(), proxy.TrustPeers(netip.MustParsePrefix("127.0.0.0/8")))
	own := l.Guard(func(o *popauth.Options) { o.Certificate = source })
	key := popauthtest.NewProofKey(t, "")
	dpop := l.Guard(func(o *popauth.Options) { o.Confirmers = []popauth.Confirmer{lab.Proofs(dpop.Options{})} })
	proof := func(server string) string {
		token := l.Issuer.Token(key.Bound())
		return "Authorization: DPoP " + token + "\r\nDPoP: " +
			key.Proof("GET", server+"/", token, popauthtest.Claims{"iat": l.Clock.Now().Unix()}) + "\r\n"
	}
	bearer := func(c *popauthtest.Client) func(string) string {
		return func(string) string {
			return "Authorization: Bearer " + l.Bound() + "\r\nClient-Cert: " + lab.ClientCert(c) + "\r\n"
		}
	}
	spy := &popauthtest.Spy{}
	for _, tt := range []struct {
		name          string
		outer, inner  func(http.Handler) http.Handler
		first, second func(string) string
		want          string
	}{
		{name: "no stage inside, nobody", outer: own.Confirm, inner: lab.Chain(), first: bearer(l.Owner), want: "nobody"},
		{name: "a stage inside, nobody", outer: own.Confirm, inner: own.Confirm, first: bearer(l.Owner), want: "401"},
		{name: "a stage inside, thief", outer: own.Confirm, inner: own.Confirm, first: bearer(l.Owner), second: bearer(l.Thief),
			want: "500"},
		{name: "a stage inside, owner", outer: own.Confirm, inner: own.Confirm, first: bearer(l.Owner), second: bearer(l.Owner),
			want: "500"},
		{name: "a Guard without source inside, owner", outer: own.Confirm, inner: l.Guard().Confirm, first: bearer(l.Owner),
			second: bearer(l.Owner), want: "500"},
		{name: "ClientCertificate outside, owner", outer: popauth.ClientCertificate(source), inner: l.Guard().Confirm,
			first: bearer(l.Owner), second: bearer(l.Owner), want: "500"},
		{name: "RequireCertificate inside", outer: popauth.ClientCertificate(source),
			inner: clientcert.Require(nil, clientcert.Thumbprint(l.Owner.Thumbprint())), first: bearer(l.Owner), want: "500"},
		{name: "its own source inside, thief", outer: popauth.ClientCertificate(source),
			inner: clientcert.Require(source, clientcert.Thumbprint(l.Owner.Thumbprint())), first: bearer(l.Owner),
			second: bearer(l.Thief), want: "500"},
		{name: "a proof once more", outer: dpop.Confirm, inner: dpop.Confirm, first: proof, want: "again"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := spy.Ran()
			server := httptest.NewServer(tt.outer(takeOver(tt.inner(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if len(r.Header["Client-Cert"]) > 0 && tt.name[0] == 'a' {
					t.Error("the header is there")
				}
				p, ok := popauth.FromContext(r.Context())
				if _, found := popauth.CertificateFromContext(r.Context()); !ok && !found {
					_, _ = io.WriteString(w, "nobody")
					return
				}
				spy.ServeHTTP(httptest.NewRecorder(), r)
				if ok {
					_, _ = io.WriteString(w, p.Subject)
				}
			})))))
			defer server.Close()
			c, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			host := strings.TrimPrefix(server.URL, "http://")
			first := tt.first(server.URL)
			second := first
			if tt.want != "again" {
				second = ""
				if tt.second != nil {
					second = tt.second(server.URL)
				}
			}
			in := bufio.NewReader(c)
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: "+host+"\r\n"+first+"\r\n")
			if line, _, _ := in.ReadLine(); string(line) != "taken over" {
				t.Fatalf("got %q, want the connection", line)
			}
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: "+host+"\r\n"+second+"\r\n")
			answer, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(answer.Body)
			got := string(body)
			if answer.StatusCode != 200 {
				got = fmt.Sprint(answer.StatusCode)
			}
			want := tt.want
			if want == "again" {
				want = "401"
			}
			if got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			if want != "client-1" && spy.Ran() != before {
				t.Error("the handler ran for somebody")
			}
		})
	}
}

// takeOver serves all further requests of a connection in the context of the first.
func takeOver(inner http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			http.Error(w, err.Error(), http.StatusTeapot)
			return
		}
		_, _ = io.WriteString(c, greeting(r))
		one := &single{conn: c, done: make(chan struct{})}
		s := &http.Server{Handler: inner, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context {
			return r.Context()
		}}
		s.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				one.once.Do(func() { close(one.done) })
			}
		}
		_ = s.Serve(one)
	})
}

// greeting says that a connection has been taken over, to a proxy in its own words.
func greeting(r *http.Request) string {
	if protocol := r.Header.Get("Upgrade"); protocol != "" {
		return "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + protocol + "\r\n\r\n"
	}
	return "taken over\n"
}

// single is a listener for one connection.
type single struct {
	conn net.Conn
	done chan struct{}
	once sync.Once
}

func (s *single) Accept() (net.Conn, error) {
	if c := s.conn; c != nil {
		s.conn = nil
		return c, nil
	}
	<-s.done
	return nil, net.ErrClosed
}

func (s *single) Close() error { return nil }

func (s *single) Addr() net.Addr { return &net.TCPAddr{} }
