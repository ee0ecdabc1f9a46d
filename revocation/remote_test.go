package revocation_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/revocation"
)

func TestRemote(t *testing.T) {
	signing := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning} }
	stranger := popauthtest.NewCA(t)
	type setup struct {
		root *popauthtest.CA
		*popauthtest.Registry
	}
	edit := func(f func(*ocsp.Response)) func(setup) { return func(s setup) { s.Answer = f } }
	list := func(f func(*x509.RevocationList)) func(setup) { return func(s setup) { s.List = f } }
	serve := func(f http.HandlerFunc) func(setup) {
		return func(s setup) { s.Serve = func(http.Handler) http.Handler { return f } }
	}
	status := func(code int) func(setup) {
		return serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
	}
	// Everything would be in order, if it weren't for the size, or the status.
	padding := func(n int) []pkix.Extension { return []pkix.Extension{{Id: []int{1, 2, 3}, Value: make([]byte, n)}} }
	big := func(s setup) {
		s.List = func(l *x509.RevocationList) { l.ExtraExtensions = padding(16 << 20) }
		s.Answer = func(r *ocsp.Response) { r.ExtraExtensions = padding(64 << 10) }
	}
	failing := func(s setup) {
		s.Serve = func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500); h.ServeHTTP(w, r) })
		}
	}
	elsewhere := popauthtest.NewCA(t).Registry()
	for _, tt := range []struct {
		name          string
		change        func(setup)
		kinds         string // of sources it holds for
		want, lenient int
	}{
		{"good", nil, "ocsp crl", 200, 200},
		{"closed", func(s setup) { s.Server.Close() }, "ocsp crl", 503, 200},
		{"status 500", failing, "ocsp crl", 503, 200},
		{"status 404", status(404), "ocsp crl", 503, 200},
		{"empty", status(200), "ocsp crl", 503, 200},
		{"too big", big, "ocsp crl", 503, 200},
		{"redirect to another host", serve(func(w http.ResponseWriter, r *http.Request) {
			redirect(w, elsewhere.Server.URL+r.URL.Path)
		}), "ocsp crl", 503, 200},
		{"redirect on the same host", func(s setup) {
			s.Serve = func(h http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.RawQuery == "" {
						redirect(w, r.URL.Path+"?1")
						return
					}
					h.ServeHTTP(w, r)
				})
			}
		}, "ocsp crl", 200, 200},
		{"redirects without end", serve(func(w http.ResponseWriter, r *http.Request) {
			redirect(w, r.URL.Path)
		}), "ocsp crl", 503, 200},
		{"unknown", edit(func(r *ocsp.Response) { r.Status = ocsp.Unknown }), "ocsp", 403, 200},
		{"about another", edit(func(r *ocsp.Response) { r.SerialNumber = bigOne }), "ocsp", 503, 200},
		{"stale", edit(func(r *ocsp.Response) { r.NextUpdate = r.ThisUpdate }), "ocsp", 503, 200},
		{"from the future", edit(func(r *ocsp.Response) { r.ThisUpdate = r.ThisUpdate.Add(10 * time.Minute) }), "ocsp", 503, 200},
		{"without nextUpdate", edit(func(r *ocsp.Response) { r.NextUpdate = time.Time{} }), "ocsp", 200, 200},
		{"without nextUpdate, old", edit(func(r *ocsp.Response) {
			r.NextUpdate, r.ThisUpdate = time.Time{}, r.ThisUpdate.Add(-2*time.Hour)
		}), "ocsp", 503, 200},
		{"delegated", func(s setup) { s.Responder = s.root.Client("responder", signing) }, "ocsp", 200, 200},
		{"a client of the authority's as responder", func(s setup) { s.Responder = s.root.Client("responder") }, "ocsp", 503, 200},
		{"a responder of another authority's", func(s setup) { s.Responder = stranger.Client("responder", signing) }, "ocsp", 503, 200},
		{"an expired responder", func(s setup) {
			s.Responder = s.root.Client("responder", signing, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
		}, "ocsp", 503, 200},
		{"a responder with an unknown critical extension", func(s setup) {
			s.Responder = s.root.Client("responder", signing, func(c *x509.Certificate) {
				c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
			})
		}, "ocsp", 503, 200},
		{"SHA-1", edit(func(r *ocsp.Response) { r.SignatureAlgorithm = x509.ECDSAWithSHA1 }), "ocsp", 503, 200},
		{"SHA-1", list(func(l *x509.RevocationList) { l.SignatureAlgorithm = x509.ECDSAWithSHA1 }), "crl", 503, 200},
		{"stale", list(func(l *x509.RevocationList) { l.NextUpdate = time.Now().Add(-time.Minute) }), "crl", 503, 200},
		{"delta", list(extended([]int{2, 5, 29, 27}, true, 2, 1, 1)), "crl", 503, 200},
		{"indirect", list(extended(scopeID, true, 0x30, 3, 0x84, 1, 0xff)), "crl", 503, 200},
		{"another part", list(point("http://crl.example/1")), "crl", 503, 200},
		{"authorities only", list(extended(scopeID, true, 0x30, 3, 0x82, 1, 0xff)), "crl", 503, 200},
		{"of another authority", func(s setup) {
			s.Serve = func(http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(stranger.CRL(nil)) })
			}
		}, "crl", 503, 200},
	} {
		for kind := range strings.FieldsSeq(tt.kinds) {
			t.Run(kind+" "+tt.name, func(t *testing.T) {
				root := popauthtest.NewCA(t)
				s := setup{root, root.Registry()}
				name, o := s.OCSP, revocation.Options{OCSP: true}
				if kind == "crl" {
					name, o = s.CRL, revocation.Options{DistributionPoints: true}
				}
				client := root.Client("c", name)
				if tt.change != nil {
					tt.change(s)
				}
				is(t, "strict", try(t, checker(t, o), root, client), tt.want)
				o.AllowUnknown = true
				var log bytes.Buffer
				o.Logger = slog.New(slog.NewTextHandler(&log, nil))
				is(t, "lenient", try(t, checker(t, o), root, client), tt.lenient)
				if noted := strings.Contains(log.String(), "certificate allowed"); noted != (tt.want != tt.lenient) {
					t.Errorf("log: %q", log.String())
				}
				if tt.want == 200 {
					s.Revoke(certificate(t, client))
					is(t, "revoked", try(t, checker(t, o), root, client), 403)
				}
			})
		}
	}
	if elsewhere.Requests() > 0 {
		t.Error("the other host was asked")
	}
}

func redirect(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusTemporaryRedirect)
}

var bigOne = big.NewInt(1)

// An answer is for one issuer, though serial numbers repeat, and for one key, though names do.
func TestAnswerForAnotherIssuer(t *testing.T) {
	root := popauthtest.NewCA(t)
	for name, made := range map[string]*popauthtest.CA{
		"key":  popauthtest.NewCA(t),
		"name": popauthtest.NewCA(t, func(c *x509.Certificate) { c.Subject.CommonName = "other" }),
	} {
		registry := root.Registry()
		client := root.Client("c", registry.OCSP)
		cert := certificate(t, client)
		id := *made.Certificate
		if name == "name" {
			id.RawSubjectPublicKeyInfo = root.Certificate.RawSubjectPublicKeyInfo
		}
		registry.Serve = func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				der, err := ocsp.CreateResponse(&id, root.Certificate, ocsp.Response{Status: ocsp.Good, SerialNumber: cert.SerialNumber,
					IssuerHash: certIDHash(), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour)}, root.Key)
				if err != nil {
					t.Error(err)
				}
				_, _ = w.Write(der)
			})
		}
		is(t, "another "+name, try(t, checker(t, revocation.Options{OCSP: true}), root, client), 503)
	}
}

func TestNotAnAddress(t *testing.T) {
	root := popauthtest.NewCA(t)
	for _, address := range []string{"ldap://example.org/x", "file:///etc/passwd", "/crl", "http://", "http://a:b@127.0.0.1/", "::"} {
		client := root.Client("c", func(c *x509.Certificate) {
			c.CRLDistributionPoints, c.OCSPServer = []string{address}, []string{address}
		})
		is(t, address, try(t, checker(t, revocation.Options{OCSP: true, DistributionPoints: true}), root, client), 503)
	}
	registry := root.Registry()
	for _, address := range []string{"http://a:b@" + registry.Server.Listener.Addr().String() + "/crl"} {
		client := root.Client("c", func(c *x509.Certificate) { c.CRLDistributionPoints = []string{address} })
		is(t, address, try(t, checker(t, revocation.Options{DistributionPoints: true}), root, client), 503)
	}
	registry.Serve = func(http.Handler) http.Handler {
		return http.RedirectHandler("/crl", http.StatusFound)
	}
	is(t, "endless", try(t, checker(t, revocation.Options{DistributionPoints: true}), root, root.Client("c", registry.CRL)), 503)
	is(t, "redirects", registry.Requests(), 4)
	is(t, "none", try(t, checker(t, revocation.Options{OCSP: true, DistributionPoints: true}), root, root.Client("c")), 403)
}

// Nobody is asked about a certificate that has no way to a root: its addresses are the sender's.
func TestStrangersAddresses(t *testing.T) {
	root := popauthtest.NewCA(t)
	registry := root.Registry()
	c := checker(t, revocation.Options{OCSP: true, DistributionPoints: true, AllowUnknown: true})
	is(t, "stranger", try(t, c, root, popauthtest.NewCA(t).Client("c", registry.OCSP, registry.CRL)), 403)
	is(t, "self-signed", try(t, c, root, popauthtest.SelfSigned(t, "c", registry.OCSP, registry.CRL)), 403)
	is(t, "expired", try(t, c, root, root.Client("c", registry.OCSP, func(c *x509.Certificate) {
		c.NotAfter = time.Now().Add(-time.Second)
	})), 403)
	is(t, "requests", registry.Requests(), 0)
}

// The order is files, OCSP, distribution points; the next one is asked where one doesn't know.
func TestOrder(t *testing.T) {
	root := popauthtest.NewCA(t)
	registry := root.Registry()
	client := root.Client("c", registry.OCSP, registry.CRL)
	all := revocation.Options{OCSP: true, DistributionPoints: true}
	is(t, "OCSP", try(t, checker(t, all), root, client), 200)
	is(t, "requests", registry.Requests(), 1)
	registry.Answer = func(r *ocsp.Response) { r.Status = ocsp.Unknown }
	is(t, "then the list", try(t, checker(t, all), root, client), 200)
	is(t, "requests", registry.Requests(), 3)
	all.Files = []string{listFile(t, root.CRL(nil))}
	is(t, "file", try(t, checker(t, all), root, client), 200)
	is(t, "requests", registry.Requests(), 3)
	second := root.Client("c", func(c *x509.Certificate) {
		c.CRLDistributionPoints = []string{"http://127.0.0.1:1/", registry.Server.URL + "/crl"}
	})
	is(t, "second address", try(t, checker(t, revocation.Options{DistributionPoints: true}), root, second), 200)
	var many []string
	for range 4 {
		many = append(many, "http://127.0.0.1:1/")
	}
	last := root.Client("c", func(c *x509.Certificate) { c.CRLDistributionPoints = append(many, registry.Server.URL+"/crl") })
	is(t, "fifth address", try(t, checker(t, revocation.Options{DistributionPoints: true}), root, last), 503)
}

func TestIntermediateRevokedByOCSP(t *testing.T) {
	root := popauthtest.NewCA(t)
	upper := root.Registry()
	between := root.Intermediate("between", upper.OCSP)
	lower := between.Registry()
	client := between.Client("c", lower.CRL)
	o := revocation.Options{OCSP: true, DistributionPoints: true}
	is(t, "good", try(t, checker(t, o), root, client), 200)
	upper.Revoke(between.Certificate)
	is(t, "revoked", try(t, checker(t, o), root, client), 403)
	lower.Server.Close()
	is(t, "revoked, and the leaf unknown", try(t, checker(t, o), root, client), 403)
}

func TestRemembered(t *testing.T) {
	for _, kind := range []string{"ocsp", "crl"} {
		t.Run(kind, func(t *testing.T) {
			root := popauthtest.NewCA(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(1000 * time.Hour) })
			registry := root.Registry()
			clock := popauthtest.NewClock(time.Now())
			registry.Now = clock.Now
			o := revocation.Options{OCSP: true, DistributionPoints: true, Now: clock.Now}
			name := registry.OCSP
			if kind == "crl" {
				name = registry.CRL
			}
			client := root.Client("c", name)
			c := checker(t, o)
			chain := revoked(certificate(t, client), root.Certificate)
			state := func(want string) {
				t.Helper()
				got, err := c.Revoked(t.Context(), chain)
				if text := map[bool]string{true: "revoked", false: "good"}[got]; err == nil && text != want ||
					err != nil && want != "unknown" {
					t.Errorf("got %s, %v, want %s", text, err, want)
				}
			}
			eventually := func(want int) {
				t.Helper()
				for deadline := time.Now().Add(5 * time.Second); registry.Requests() != want && time.Now().Before(deadline); {
					time.Sleep(time.Millisecond)
				}
				is(t, "requests", registry.Requests(), want)
			}
			state("good")
			state("good")
			eventually(1)
			registry.Revoke(chain[0])
			clock.Advance(44 * time.Minute)
			state("good")
			eventually(1)
			// What isn't too old answers while the new one is fetched.
			clock.Advance(time.Minute)
			state("good")
			eventually(2)
			for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
				if got, _ := c.Revoked(t.Context(), chain); got {
					break
				}
			}
			state("revoked")
			// An outage changes nothing, nor does the end of what was said.
			registry.Server.Close()
			clock.Advance(2 * time.Hour)
			state("revoked")
			clock.Advance(25 * time.Hour)
			state("revoked")
		})
	}
}

// An older list, though still valid, doesn't replace a newer one.
func TestPlayedBack(t *testing.T) {
	root := popauthtest.NewCA(t)
	registry := root.Registry()
	clock := popauthtest.NewClock(time.Now())
	client := root.Client("c", registry.CRL)
	old := root.CRL(nil, func(l *x509.RevocationList) { l.ThisUpdate = l.ThisUpdate.Add(-time.Hour) })
	var replay atomic.Bool
	registry.Serve = func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if replay.Load() {
				_, _ = w.Write(old)
				return
			}
			h.ServeHTTP(w, r)
		})
	}
	// On hold, which may end, so that the list is asked for again.
	registry.Revoke(certificate(t, client))
	registry.List = func(l *x509.RevocationList) { l.RevokedCertificateEntries[0].ReasonCode = ocsp.CertificateHold }
	c := checker(t, revocation.Options{DistributionPoints: true, Now: clock.Now})
	is(t, "revoked", try(t, c, root, client), 403)
	replay.Store(true)
	clock.Advance(time.Hour)
	is(t, "played back", try(t, c, root, client), 403)
	is(t, "requests", registry.Requests(), 2)
	// It is no answer, so the next one is asked for after the pause, not after an hour.
	clock.Advance(10 * time.Second)
	is(t, "played back again", try(t, c, root, client), 403)
	is(t, "requests", registry.Requests(), 3)
}

func TestOutageIsShort(t *testing.T) {
	root := popauthtest.NewCA(t)
	registry := root.Registry()
	clock := popauthtest.NewClock(time.Now())
	var down atomic.Bool
	down.Store(true)
	registry.Serve = func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if down.Load() {
				w.WriteHeader(500)
				return
			}
			h.ServeHTTP(w, r)
		})
	}
	client := root.Client("c", registry.OCSP)
	c := checker(t, revocation.Options{OCSP: true, Now: clock.Now})
	is(t, "down", try(t, c, root, client), 503)
	down.Store(false)
	is(t, "not asked again at once", try(t, c, root, client), 503)
	is(t, "requests", registry.Requests(), 1)
	clock.Advance(10 * time.Second)
	is(t, "up", try(t, c, root, client), 200)
}

// However many ask, one fetch; whoever goes away spoils it for nobody; nobody waits for longer than Timeout.
func TestOneFetch(t *testing.T) {
	nothingLeft(t)
	t.Run("", func(t *testing.T) {
		root := popauthtest.NewCA(t)
		registry := root.Registry()
		hold := make(chan struct{})
		registry.Serve = func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-hold; h.ServeHTTP(w, r) })
		}
		client := root.Client("c", registry.CRL)
		chain := revoked(certificate(t, client), root.Certificate)
		c := checker(t, revocation.Options{DistributionPoints: true, Timeout: 10 * time.Second})
		lenient := checker(t, revocation.Options{DistributionPoints: true, AllowUnknown: true, Timeout: 10 * time.Second})
		for _, c := range []*revocation.Checker{c, lenient} { // nobody who has gone away is let in
			if _, err := c.Revoked(canceled(), chain); err == nil {
				t.Error("gone away: got nil")
			}
		}
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if got, err := c.Revoked(t.Context(), chain); got || err != nil {
					t.Errorf("got %t, %v", got, err)
				}
			})
		}
		time.Sleep(20 * time.Millisecond)
		close(hold)
		all.Wait()
		is(t, "requests, with that of the lenient one", registry.Requests(), 2)
	})
	t.Run("silent", func(t *testing.T) {
		root := popauthtest.NewCA(t)
		hold := make(chan struct{})
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-hold:
			case <-r.Context().Done():
			}
		}))
		defer server.Close()
		defer close(hold)
		client := root.Client("c", func(c *x509.Certificate) {
			c.CRLDistributionPoints = []string{server.URL + "/1", server.URL + "/2", server.URL + "/3"}
		})
		c := checker(t, revocation.Options{DistributionPoints: true, Timeout: 200 * time.Millisecond})
		start := time.Now()
		is(t, "status", try(t, c, root, client), 503)
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// The revocation of a certificate counts at once, though the way to the root is remembered.
func TestRevocationIsNotRemembered(t *testing.T) {
	root := popauthtest.NewCA(t)
	client := root.Client("c")
	clock := popauthtest.NewClock(time.Now())
	path := listFile(t, root.CRL(nil))
	c := checker(t, revocation.Options{Files: []string{path}, Now: clock.Now, Reread: time.Second})
	source, err := clientcert.Verified(popauth.TLSCertificate(), clientcert.Verification{
		Roots: root.Pool(), Revoked: c.Revoked, Remember: 30 * time.Minute, Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	is(t, "good", status(t, source, client), 200)
	write(t, path, root.CRL(revoked(certificate(t, client))))
	clock.Advance(11 * time.Second)
	is(t, "revoked", status(t, source, client), 403)
}

func TestOwnClient(t *testing.T) {
	root := popauthtest.NewCA(t)
	registry := root.Registry()
	var asked atomic.Int64
	own := &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		asked.Add(1)
		return http.DefaultTransport.RoundTrip(r)
	})}
	is(t, "status", try(t, checker(t, revocation.Options{OCSP: true, Client: own}), root, root.Client("c", registry.OCSP)), 200)
	if asked.Load() != 1 || own.CheckRedirect != nil {
		t.Errorf("asked %d times; the caller's client was changed: %t", asked.Load(), own.CheckRedirect != nil)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

var _ func(context.Context, []*x509.Certificate) (bool, error) = (*revocation.Checker)(nil).Revoked
