package clientauth_test

import (
	"crypto/x509"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/internal/oddcert"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// A certificate that crypto/x509 can't parse is one that a client may be registered with, and that a token may be bound to.
// It has no names.
func TestCertificatesThatGoCantParse(t *testing.T) {
	ca, other := popauthtest.NewCA(t), popauthtest.SelfSigned(t, "admin")
	for _, lifetime := range []time.Duration{time.Hour, -time.Hour} {
		odd, err := oddcert.Issue(ca.Certificate, ca.Key, lifetime)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range odd {
			t.Run(o.Name, func(t *testing.T) {
				client := &popauthtest.Client{Certificate: o.Certificate}
				found, err := popauth.NewCertificate("proxy", o.Certificate.Certificate[0])
				if err != nil {
					t.Fatal(err)
				}
				found.Verified = popauth.VerifiedByProxy // nobody can have read its names
				names := func(list ...clientauth.Credential) (all []clientauth.Registration) {
					for _, c := range list {
						all = append(all, clientauth.Registration{Credential: c})
					}
					return all
				}
				clients := clientauth.Static{
					"pinned": {thumbprint(t, client)}, "another": {thumbprint(t, other)},
					"named": names(must(t)(clientauth.SubjectDN("CN=admin")), must(t)(clientauth.SANURI("https://a.example/")),
						must(t)(clientauth.SANDNS("a.example")), must(t)(clientauth.SANIP("::1")),
						must(t)(clientauth.SANEmail("a@a.example"))),
				}
				ask := func(id string, roots bool) outcome {
					o := clientauth.Options{Clients: clients, Certificate: fixed{certificate: found}}
					if roots {
						o.Roots = ca.Pool()
					}
					return send(newAuth(t, o), post(nil, "client_id="+id))
				}
				if lifetime < 0 {
					ask("pinned", false).refused(t, clientauth.ErrCertificateUntrusted, 401, "invalid_client")
					return
				}
				got := ask("pinned", false)
				got.passed(t, "pinned")
				if got.client == nil || got.client.Confirmation().Thumbprint != client.Thumbprint() || got.client.Certificate.Leaf != nil {
					t.Errorf("got %+v", got.client)
				}
				stranger := ask("another", false)
				stranger.refused(t, clientauth.ErrCertificateMismatch, 401, "invalid_client")
				if want := "certificate " + client.Thumbprint() + ": "; stranger.err == nil ||
					!strings.Contains(stranger.err.Error(), want) {
					t.Errorf("got %v, want %q in it", stranger.err, want)
				}
				ask("named", false).refused(t, clientauth.ErrCertificateMismatch, 401, "invalid_client")
				ask("named", true).refused(t, clientauth.ErrCertificateMismatch, 401, "invalid_client")

				// Whatever authenticates the client, its token is bound.
				a := newAuth(t, clientauth.Options{Clients: clients, Certificate: fixed{certificate: found}, AlwaysBind: true})
				var cnf clientauth.Confirmation
				a.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					if _, err := a.Authenticate(r); !errors.Is(err, clientauth.ErrOtherMethod) {
						t.Errorf("got %v, want it left to other methods", err)
					}
					cnf = a.Confirmation(r)
				})).ServeHTTP(send(a, post(nil, "client_id=public")), post(nil, "client_id=public"))
				if cnf.Thumbprint != client.Thumbprint() {
					t.Errorf("got %+v", cnf)
				}
			})
		}
	}
}

// What a source of one's own gives is looked at before anything else is.
func TestSourcesWithoutContent(t *testing.T) {
	owner := popauthtest.SelfSigned(t, "batch")
	good := by(owner, popauth.NotVerified)
	for name, spoil := range map[string]func(*popauth.Certificate){
		"no Leaf":          func(c *popauth.Certificate) { c.Leaf = nil },
		"nil intermediate": func(c *popauth.Certificate) { c.Intermediates = append(c.Intermediates, nil) },
		"nil in the chain": func(c *popauth.Certificate) { c.Chain = append(c.Chain, nil) },
	} {
		c := *good
		spoil(&c)
		for _, roots := range []*popauthtest.CA{nil, popauthtest.NewCA(t)} {
			o := clientauth.Options{Certificate: fixed{certificate: &c}, Clients: clientauth.Static{
				"batch": {{Credential: must(t)(clientauth.SubjectDN("CN=batch"))}, thumbprint(t, owner)},
			}}
			if roots != nil {
				o.Roots = roots.Pool()
			}
			got := send(newAuth(t, o), post(nil, form))
			if got.ran || got.Code != 400 || !strings.Contains(got.Body.String(), "certificate is malformed") {
				t.Errorf("%s: got %d %s, ran %t", name, got.Code, got.Body, got.ran)
			}
		}
	}
}

// The thumbprint that a source says is not that of its certificate.
func TestThumbprintOfASource(t *testing.T) {
	owner, thief := popauthtest.SelfSigned(t, "batch"), popauthtest.SelfSigned(t, "batch")
	c := by(thief, popauth.NotVerified)
	c.Thumbprint = owner.Thumbprint()
	a := newAuth(t, clientauth.Options{Clients: clientauth.Static{"batch": {thumbprint(t, owner)}}, Certificate: fixed{certificate: c}})
	send(a, post(nil, form)).refused(t, clientauth.ErrCertificateMismatch, 401, "invalid_client")
}

// A certificate that expires on a connection that lasts: the client shall come again with another, and learns nothing else.
func TestExpiredOnAConnection(t *testing.T) {
	ca := popauthtest.NewCA(t)
	clock := popauthtest.NewClock(time.Now())
	client, pinned := ca.Client("batch"), popauthtest.SelfSigned(t, "till")
	a := newAuth(t, clientauth.Options{Now: clock.Now, Clients: clientauth.Static{
		"batch": {{Credential: must(t)(clientauth.SubjectDN("CN=batch"))}}, "till": {thumbprint(t, pinned)},
	}})
	behind := newAuth(t, clientauth.Options{Now: clock.Now, Clients: clientauth.Static{"till": {thumbprint(t, pinned)}},
		Certificate: fixed{certificate: by(pinned, popauth.NotVerified)}})
	send(a, verifiedBy(ca, client)).passed(t, "batch")
	send(a, verifiedBy(ca, ca.Client("x"))).closes(t, "")
	clock.Advance(48 * time.Hour)
	registered, stranger := send(a, verifiedBy(ca, client)), send(a, post(client, "client_id=nobody"))
	registered.refused(t, clientauth.ErrCertificateUntrusted, 401, "invalid_client")
	registered.closes(t, "close")
	stranger.closes(t, "close")
	if registered.Body.String() != stranger.Body.String() {
		t.Errorf("got %s and %s", registered.Body, stranger.Body)
	}
	send(a, post(pinned, "client_id=till")).closes(t, "close")
	proxied := send(behind, post(client, "client_id=till")) // over the proxy's connection
	proxied.refused(t, clientauth.ErrCertificateUntrusted, 401, "invalid_client")
	proxied.closes(t, "")
}

func (o outcome) closes(t *testing.T, want string) {
	t.Helper()
	if got := o.Header().Get("Connection"); got != want {
		t.Errorf("got Connection: %q, want %q", got, want)
	}
}

// Options.Now is the clock for the whole chain.
func TestClockOfTheChain(t *testing.T) {
	root := popauthtest.NewCA(t)
	clock := popauthtest.NewClock(time.Now())
	between := root.Intermediate("between", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(time.Hour) })
	a := newAuth(t, clientauth.Options{
		Clients: clientauth.Static{"batch": {{Credential: must(t)(clientauth.SubjectDN("CN=batch"))}}}, Roots: root.Pool(), Now: clock.Now,
	})
	client := between.Client("batch")
	send(a, post(client, form)).passed(t, "batch")
	clock.Advance(2 * time.Hour)
	send(a, post(client, form)).refused(t, clientauth.ErrCertificateUntrusted, 401, "invalid_client")
}

// One of the roots has been given to verify others; its name is nobody's word for a client.
func TestOneOfTheRootsItself(t *testing.T) {
	ca := popauthtest.NewCA(t)
	listed := ca.Client("batch")
	pool := x509.NewCertPool()
	pool.AddCert(listed.Certificate.Leaf)
	clients := clientauth.Static{"batch": {{Credential: must(t)(clientauth.SubjectDN("CN=batch"))}}}
	verified, err := clientcert.Verified(popauth.TLSCertificate(), clientcert.Verification{Roots: pool})
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]clientauth.Options{
		"Roots": {Clients: clients, Roots: pool}, "TLS": {Clients: clients}, "Verified": {Clients: clients, Certificate: verified},
	} {
		r := post(listed, form)
		r.TLS.VerifiedChains = [][]*x509.Certificate{{r.TLS.PeerCertificates[0]}}
		got := send(newAuth(t, o), r)
		got.refused(t, clientauth.ErrCertificateUntrusted, 401, "invalid_client")
		if got.err == nil || !strings.Contains(got.err.Error(), "one of the roots") {
			t.Errorf("%s: got %v", name, got.err)
		}
	}
}
