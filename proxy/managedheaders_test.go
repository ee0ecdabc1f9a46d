package proxy_test

import (
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

const proxySecret = "a secret of the proxy's"

// spellings are names that are taken for a certificate header, a chain header and the secret.
var spellings = []string{"Client-Cert", "client-cert", "Client_Cert", "Client.Cert", "Client-Cert-Chain", "X-Proxy-Secret",
	"X_Proxy_Secret", "x.proxy.secret"}

// watch tells where managed headers were seen.
type watch struct {
	testing.TB
	where map[string]bool
}

func (w *watch) at(where string, r *http.Request) {
	w.where[where] = true
	for _, name := range spellings {
		for header := range r.Header {
			if strings.EqualFold(header, name) {
				w.Errorf("%s sees %s", where, header)
			}
		}
		for trailer := range r.Trailer {
			if strings.EqualFold(trailer, name) {
				w.Errorf("%s sees the trailer %s", where, trailer)
			}
		}
	}
}

func (w *watch) saw(places ...string) {
	w.Helper()
	for _, p := range places {
		if !w.where[p] {
			w.Errorf("%s was not asked: the test shows nothing", p)
		}
	}
}

type watchingConfirmer struct{ *watch }

func (watchingConfirmer) Member() string { return "test" }

func (c watchingConfirmer) Confirm(r *http.Request, _ popauth.Presentation) error {
	c.at("Confirmer", r)
	return nil
}

// wrapped is a source that somebody puts around another, as to count.
type wrapped struct{ popauth.CertificateSource }

// The headers of a source are for the source: whoever logs, forwards or decides by a request must not see the proxy's
// secret, nor take a stranger's header for the proxy's.
func TestNobodyElseSeesManagedHeaders(t *testing.T) {
	l := lab.New(t)
	key := popauthtest.NewProofKey(t, "")
	forwardedSource := func() popauth.CertificateSource {
		return lab.ByProxy(proxy.RFC9440(), proxy.TrustPeers(lab.ProxyNet), proxy.TrustSecret("X-Proxy-Secret", proxySecret))
	}
	for name, source := range map[string]func(*watch) popauth.CertificateSource{
		"Forwarded": func(*watch) popauth.CertificateSource { return forwardedSource() },
		"wrapped":   func(*watch) popauth.CertificateSource { return wrapped{forwardedSource()} },
		"by function": func(*watch) popauth.CertificateSource {
			return popauth.CertificateFunc(forwardedSource().Certificate, "Client-Cert", "Client-Cert-Chain", "X-Proxy-Secret")
		},
		"Verified": func(w *watch) popauth.CertificateSource {
			s, err := clientcert.Verified(wrapped{forwardedSource()}, clientcert.Verification{
				RootsFor: func(r *http.Request, _ *x509.Certificate) (*x509.CertPool, error) {
					w.at("RootsFor", r)
					return l.CA.Pool(), nil
				},
				Check: func(r *http.Request, _ *popauth.Certificate) error { w.at("Check", r); return nil },
			})
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
	} {
		for _, from := range []string{lab.ProxyAddress, stranger} {
			for place, wire := range map[string]func(*popauth.Guard, *popauth.Guard, popauth.CertificateSource, popauth.Policy,
				*watch) func(http.Handler) http.Handler{
				"own": func(own, _ *popauth.Guard, _ popauth.CertificateSource, p popauth.Policy,
					_ *watch) func(http.Handler) http.Handler {
					return lab.Chain(own.Authenticate, own.Authorize(p))
				},
				"own alone": func(own, _ *popauth.Guard, _ popauth.CertificateSource, p popauth.Policy,
					_ *watch) func(http.Handler) http.Handler {
					return own.Authorize(p)
				},
				"outer": func(_, plain *popauth.Guard, s popauth.CertificateSource, p popauth.Policy,
					_ *watch) func(http.Handler) http.Handler {
					return lab.Chain(popauth.ClientCertificate(s), plain.Authorize(p))
				},
				"Decide": func(own, _ *popauth.Guard, _ popauth.CertificateSource, p popauth.Policy,
					w *watch) func(http.Handler) http.Handler {
					return func(next http.Handler) http.Handler {
						return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
							d, err := own.Decide(r, p)
							if err != nil {
								own.Refuse(rw, r, err)
								return
							}
							next.ServeHTTP(rw, d.Request)
						})
					}
				},
				"CheckCertificate": func(_, _ *popauth.Guard, s popauth.CertificateSource, _ popauth.Policy,
					w *watch) func(http.Handler) http.Handler {
					return func(next http.Handler) http.Handler {
						return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
							_, _ = clientcert.Check(r, s, clientcert.Thumbprint(l.Owner.Thumbprint()),
								clientcert.MatchFunc(func(r *http.Request, _ *popauth.Certificate) error {
									w.at("PolicyFunc", r)
									return nil
								}))
							next.ServeHTTP(rw, popauth.WithoutHeaders(r, s))
						})
					}
				},
			} {
				t.Run(name+" "+place+" "+from, func(t *testing.T) {
					w := &watch{TB: t, where: map[string]bool{}}
					configure := func(o *popauth.Options) {
						o.Confirmers = []popauth.Confirmer{watchingConfirmer{w},
							lab.Proofs(dpop.Options{URL: func(r *http.Request) *url.URL { w.at("URL", r); return dpop.RequestURL(r) }}),
							popauth.MutualTLS{}}
						o.Deny = func(rw http.ResponseWriter, r *http.Request, e *popauth.Error) {
							w.at("Deny", r)
							rw.WriteHeader(e.Status())
						}
					}
					s := source(w)
					own := l.Guard(configure, func(o *popauth.Options) { o.Certificate = s })
					request := func(token string) *http.Request {
						r := lab.ViaProxy(token)
						r.RemoteAddr = from
						if from == stranger {
							r.TLS = l.Owner.Request("GET", "/", "").TLS
						}
						r.Header["Client-Cert"], r.Header["X-Proxy-Secret"] = []string{lab.ClientCert(l.Owner)}, []string{proxySecret}
						for _, name := range spellings {
							if http.CanonicalHeaderKey(name) != "Client-Cert" && http.CanonicalHeaderKey(name) != "X-Proxy-Secret" &&
								name != "Client-Cert-Chain" {
								r.Header[name] = []string{"x"}
							}
						}
						return r
					}
					policy := popauth.PolicyFunc(func(r *http.Request, _ *popauth.Principal) error { w.at("PolicyFunc", r); return nil })
					wire := wire(own, l.Guard(configure), s, policy, w)
					h := lab.Chain(wire, lab.Tap(func(r *http.Request) { w.at("handler", r) }))
					lab.Send(h, request(l.Issuer.Token(l.Owner.Bound(),
						popauthtest.Claims{"cnf": popauthtest.Claims{"x5t#S256": l.Owner.Thumbprint(), "test": "x"}})))
					w.saw("PolicyFunc", "handler")
					if place != "CheckCertificate" {
						w.saw("Confirmer")
						proof := request(l.Issuer.Token(key.Bound()))
						proof.Header.Set("Authorization", strings.Replace(proof.Header.Get("Authorization"), "Bearer", "DPoP", 1))
						proof.Header.Set("DPoP", key.Proof("GET", "http://example.com/orders", proof.Header.Get("Authorization")[5:],
							popauthtest.Claims{"iat": l.Clock.Now().Unix()}))
						lab.Send(h, proof)
						lab.Send(h, request("")) // refused
						w.saw("URL", "Deny")
					}
					if name == "Verified" {
						w.saw("RootsFor", "Check")
					}
				})
			}
		}
	}
}

// What a client sends behind its body is a header, too: announced or not, over HTTP/1.1 and HTTP/2.
func TestManagedTrailers(t *testing.T) {
	l := lab.New(t)
	peers := proxy.TrustPeers(netip.MustParsePrefix("127.0.0.0/8"))
	source := lab.ByProxy(proxy.RFC9440(), peers, proxy.TrustSecret("X-Proxy-Secret", proxySecret))
	own := l.Guard(func(o *popauth.Options) { o.Certificate = source })
	inner := l.Guard(func(o *popauth.Options) { o.Certificate = lab.ByProxy(proxy.RFC9440(), peers) })
	for name, wire := range map[string]func(http.Handler) http.Handler{
		"Guard": own.Authenticate, "ClientCertificate": lab.Chain(popauth.ClientCertificate(source), l.Guard().Authenticate),
		"both": lab.Chain(popauth.ClientCertificate(source), inner.Authenticate),
	} {
		for _, http2 := range []bool{false, true} {
			w := &watch{TB: t, where: map[string]bool{}}
			var harmless string
			server := httptest.NewUnstartedServer(wire(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				w.at("before", r)
				body, _ := io.ReadAll(r.Body)
				w.at("after", r)
				harmless = string(body) + " " + r.Trailer.Get("X-Checksum")
			})))
			server.EnableHTTP2 = http2
			server.StartTLS()
			trailer := http.Header{"X-Checksum": nil, "Client-Cert": nil, "Client_cert": nil, "X-Proxy-Secret": nil}
			r, err := http.NewRequest(http.MethodPost, server.URL, io.MultiReader(strings.NewReader("body"), &late{trailer}))
			if err != nil {
				t.Fatal(err)
			}
			r.Trailer = trailer
			r.Header.Set("Authorization", "Bearer "+l.Unbound())
			r.Header.Set("X-Proxy-Secret", proxySecret)
			answer, err := server.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			server.Close()
			w.saw("before", "after")
			if harmless != "body sum" {
				t.Errorf("%s, HTTP/2 %t: got %q, want the body and its own trailer", name, http2, harmless)
			}
		}
	}
}

// late fills in a trailer when the body has been sent.
type late struct{ trailer http.Header }

func (l *late) Read([]byte) (int, error) {
	for name := range l.trailer {
		l.trailer[name] = []string{"sum"}
	}
	return 0, io.EOF
}

// In HTTP/1.1 whatever comes behind the body is put beside what was announced.
func TestTrailersNobodyHasAnnounced(t *testing.T) {
	l := lab.New(t)
	source := lab.ByProxy(proxy.RFC9440(), proxy.TrustPeers(netip.MustParsePrefix("127.0.0.0/8")))
	own := l.Guard(func(o *popauth.Options) { o.Certificate = source })
	for _, announced := range []string{"", "Trailer: X-Checksum\r\n"} {
		w := &watch{TB: t, where: map[string]bool{}}
		server := httptest.NewServer(lab.Chain(own.Authenticate,
			own.Authenticate)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadAll(r.Body)
			w.at("after", r)
		})))
		answer := lab.ExchangeRaw(t, server, "POST / HTTP/1.1\r\nHost: api\r\nConnection: close\r\nAuthorization: Bearer "+l.Unbound()+
			"\r\n"+announced+
			"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nClient-Cert: x\r\nX-Checksum: y\r\n\r\n")
		if !strings.HasPrefix(answer, "HTTP/1.1 200") {
			t.Errorf("got %.40q", answer)
		}
		w.saw("after")
	}
}

// Whoever reads the body before a stage has the trailer filled in by then: the stage hands on what is not managed, and a request
// without a body keeps its own.
func TestTrailersThatAreThereAlready(t *testing.T) {
	l := lab.New(t)
	own := l.Guard(func(o *popauth.Options) {
		o.Certificate = lab.ByProxy(proxy.RFC9440(), proxy.TrustPeers(lab.ProxyNet))
	})
	for name, body := range map[string]io.ReadCloser{"nil": nil, "read": http.NoBody} {
		r := lab.ViaProxy(l.Unbound())
		r.Body, r.Trailer = body, http.Header{"X-Checksum": {"sum"}, "Client-Cert": {"x"}, "Client_cert": {"x"}}
		var got http.Header
		lab.Send(lab.Chain(own.Authenticate, lab.Tap(func(r *http.Request) { got = r.Trailer })), r).Passed(t)
		if len(got) != 1 || got.Get("X-Checksum") != "sum" {
			t.Errorf("body %s: got the trailer %v, want X-Checksum alone", name, got)
		}
		if len(r.Trailer) != 3 {
			t.Errorf("body %s: the caller's own trailer is %v now", name, r.Trailer)
		}
	}
}

// A source that wraps another keeps its headers removed, and its errors reported.
func TestAWrappedSourceLosesNothing(t *testing.T) {
	l := lab.New(t)
	nobody := wrapped{popauth.CertificateFunc(nil)}
	o := l.Issuer.Options()
	o.Certificate = nobody
	if _, err := popauth.New(o); err == nil || !strings.Contains(err.Error(), "CertificateFunc: nil function") {
		t.Errorf("New: got %v, want the source's error", err)
	}
	if _, err := clientcert.Verified(nobody, clientcert.Verification{Roots: l.CA.Pool()}); err == nil {
		t.Error("Verified: no error")
	}
	if _, err := clientcert.Check(l.Owner.Request("GET", "/", ""), nobody); !errors.Is(err, popauth.ErrUnconfigured) {
		t.Errorf("CheckCertificate: got %v", err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("ClientCertificate: no panic")
			}
		}()
		popauth.ClientCertificate(nobody)
	}()
	for name, s := range map[string]popauth.CertificateSource{
		"nil function": popauth.CertificateFunc(nil), "empty name": popauth.CertificateFunc(popauth.TLSCertificate().Certificate, ""),
	} {
		o.Certificate = s
		if _, err := popauth.New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := popauth.CertificateFunc(nil).Certificate(lab.ViaProxy("")); !errors.Is(err, popauth.ErrUnconfigured) {
		t.Errorf("got %v", err)
	}
}

// A source says which certificate, popauth what its thumbprint is.
func TestAThumbprintIsNoSourcesWord(t *testing.T) {
	l := lab.New(t)
	for _, claimed := range []string{"", l.Thief.Thumbprint()} {
		source := popauth.CertificateFunc(func(*http.Request) (*popauth.Certificate, error) {
			c := &popauth.Certificate{Leaf: l.Owner.Request("GET", "/", "").TLS.PeerCertificates[0], Thumbprint: claimed,
				Verified: popauth.VerifiedByProxy}
			return c, nil
		})
		own := l.Guard(func(o *popauth.Options) { o.Certificate = source })
		var got []string
		look := lab.Tap(func(r *http.Request) {
			p, ok := popauth.FromContext(r.Context())
			if ok {
				got = append(got, p.Certificate.Thumbprint)
			}
			c, _ := popauth.CertificateFromContext(r.Context())
			got = append(got, c.Thumbprint)
		})
		lab.Send(lab.Chain(own.Confirm, look), lab.ViaProxy(l.Bound())).Passed(t)
		lab.Send(lab.Chain(popauth.ClientCertificate(source), l.Guard().Confirm, look), lab.ViaProxy(l.Bound())).Passed(t)
		lab.Send(lab.Chain(clientcert.Require(source), look), lab.ViaProxy("")).Passed(t)
		c, err := clientcert.Check(lab.ViaProxy(""), source)
		if err != nil {
			t.Fatal(err)
		}
		for _, thumbprint := range append(got, c.Thumbprint) {
			if thumbprint != l.Owner.Thumbprint() {
				t.Errorf("claimed %q: got %q, want that of the certificate", claimed, thumbprint)
			}
		}
		if len(got) != 5 {
			t.Errorf("got %d", len(got))
		}
	}
}
