package proxy_test

import (
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// hostFromHeader is middleware that takes the host from X-Forwarded-Host, as gorilla's ProxyHeaders does.
func hostFromHeader(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host := r.Header.Get("X-Forwarded-Host"); host != "" {
			r.Host = host
		}
		next.ServeHTTP(w, r)
	})
}

// What the TLS stack has verified for one server name is no identity at a host that middleware has set since.
func TestAnIdentityIsForTheHostOfNow(t *testing.T) {
	l := lab.New(t)
	lasting := func(c *x509.Certificate) { c.NotAfter = l.Clock.Now().AddDate(1, 0, 0) } // Recheck goes by the Guard's clock
	ca := popauthtest.NewCA(t, lasting)
	client := ca.Client("admin", func(c *x509.Certificate) { c.DNSNames = []string{"admin.internal"} }, lasting)
	token := l.Issuer.Token(client.Bound())
	request := func(host string) *http.Request {
		r := client.Request("GET", "https://a.example.com/", token)
		r.TLS.ServerName = "a.example.com"
		r.TLS.VerifiedChains = [][]*x509.Certificate{{r.TLS.PeerCertificates[0], ca.Certificate}}
		if host != "" {
			r.Header.Set("X-Forwarded-Host", host)
		}
		return r
	}
	named := clientcert.DNS("admin.internal")
	byTLS, anyHost := popauth.ClientCertificate(popauth.TLSCertificate()), popauth.ClientCertificate(popauth.TLSCertificateAnyHost())
	own := l.Guard(func(o *popauth.Options) { o.Certificate = popauth.TLSCertificate() })
	plain := l.Guard()
	known := clientcert.Require(nil, clientcert.Thumbprint(client.Thumbprint()))
	asks := func(ask func(*http.Request) error) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if err := ask(r); err != nil {
					plain.Refuse(w, r, err)
					return
				}
				next.ServeHTTP(w, r)
			})
		}
	}
	recheck := func(r *http.Request) error { _, err := own.Recheck(r, clientcert.Policy(named)); return err }
	recheckCertificate := func(r *http.Request) error { _, err := clientcert.Recheck(r, named); return err }
	check := func(r *http.Request) error { _, err := clientcert.Check(r, nil, named); return err }
	for name, tt := range map[string]struct {
		outer, inner func(http.Handler) http.Handler
		want         int // at another host
	}{
		"RequireCertificate":            {byTLS, clientcert.Require(nil, named), 421},
		"RequireCertificate of both":    {clientcert.Require(nil, named), clientcert.Require(nil, named), 421},
		"a wrapped source":              {popauth.ClientCertificate(wrapped{popauth.TLSCertificate()}), clientcert.Require(nil), 421},
		"CallerCertificate":             {byTLS, clientcert.Require(popauth.CallerCertificate()), 421},
		"a source of its own":           {byTLS, clientcert.Require(popauth.TLSCertificate()), 421},
		"a Guard":                       {byTLS, plain.Authorize(clientcert.Policy(named)), 421},
		"two stages":                    {plain.Authenticate, plain.Authorize(clientcert.Policy(named)), 421},
		"two stages, a source":          {own.Authenticate, own.Authorize(clientcert.Policy(named)), 421},
		"stages around a gate":          {own.Authenticate, lab.Chain(known, own.Authorize(clientcert.Policy(named))), 421},
		"another Guard":                 {own.Authenticate, plain.Authorize(clientcert.Policy(named)), 421},
		"Recheck":                       {own.Authenticate, asks(recheck), 421},
		"RecheckCertificate":            {byTLS, asks(recheckCertificate), 421},
		"CheckCertificate":              {byTLS, asks(check), 421},
		"any host":                      {anyHost, clientcert.Require(nil, named), 200},
		"any host, a Guard":             {anyHost, plain.Authorize(clientcert.Policy(named)), 200},
		"a binding":                     {byTLS, plain.Confirm, 200},
		"a binding, two stages":         {own.Authenticate, own.Confirm, 200},
		"a thumbprint":                  {byTLS, known, 200},
		"verified by popauth, any name": {byTLS, clientcert.Require(verifiedBy(t, popauth.CallerCertificate(), ca)), 200},
	} {
		t.Run(name, func(t *testing.T) {
			for host, want := range map[string]int{"": 200, "a.example.com:443": 200, "b.example.com": tt.want} {
				if o := lab.Send(lab.Chain(tt.outer, hostFromHeader, tt.inner), request(host)); o.Status != want || o.Ran != (want == 200) {
					t.Errorf("host %q: got %d, ran %t, want %d", host, o.Status, o.Ran, want)
				}
			}
		})
	}
}

func verifiedBy(t *testing.T, s popauth.CertificateSource, ca *popauthtest.CA) popauth.CertificateSource {
	t.Helper()
	v, err := clientcert.Verified(s, clientcert.Verification{Roots: ca.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// A handler that is let in by the thumbprint alone finds no identity for another host.
func TestNoIdentityBehindAThumbprint(t *testing.T) {
	ca := popauthtest.NewCA(t)
	client := ca.Client("admin")
	for host, want := range map[string]error{"a.example.com": nil, "b.example.com": popauth.ErrMisdirected} {
		r := client.Request("GET", "https://a.example.com/", "")
		r.TLS.ServerName, r.TLS.VerifiedChains = "a.example.com", [][]*x509.Certificate{{r.TLS.PeerCertificates[0], ca.Certificate}}
		r.Header.Set("X-Forwarded-Host", host)
		ran := false
		gate := clientcert.Require(nil, clientcert.Thumbprint(client.Thumbprint()))
		outside := lab.Chain(popauth.ClientCertificate(popauth.TLSCertificate()), hostFromHeader, gate)
		outside(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			ran = true
			c, ok := popauth.CertificateFromContext(r.Context())
			if err := c.CheckIdentity(); !ok || !errors.Is(err, want) {
				t.Errorf("%s: got %v, want %v", host, err, want)
			}
		})).ServeHTTP(httptest.NewRecorder(), r)
		if !ran {
			t.Errorf("%s: the handler did not run", host)
		}
	}
}

// Over real connections, with a host mux inside: a tenant's authority names nobody at another tenant.
func TestTenantsByChangedHost(t *testing.T) {
	a, b := popauthtest.NewCA(t), popauthtest.NewCA(t)
	spies := map[string]*popauthtest.Spy{"a.example.com": {}, "b.example.com": {}}
	mux := http.NewServeMux()
	for host, spy := range spies {
		mux.Handle(host+"/", clientcert.Require(nil, clientcert.DNS("admin.internal"))(spy))
	}
	admin := a.Client("admin", func(c *x509.Certificate) { c.DNSNames = []string{"admin.internal"} })
	for _, isHTTP2 := range []bool{false, true} {
		target := "b.example.com"
		rehost := lab.Altered(func(r *http.Request) { r.Host = target })
		ask := lab.ByName(t, lab.Chain(popauth.ClientCertificate(popauth.TLSCertificate()), rehost)(mux), isHTTP2,
			map[string]*x509.CertPool{"a.example.com": a.Pool(), "b.example.com": b.Pool()})
		if got := ask("a.example.com", "a.example.com", admin, ""); got != 421 || spies[target].Ran() > 0 {
			t.Errorf("VULNERABLE: got %d, ran %d, want 421", got, spies[target].Ran())
		}
		target = "a.example.com"
		before := spies[target].Ran()
		if got := ask("a.example.com", "a.example.com", admin, ""); got != 200 || spies[target].Ran() != before+1 {
			t.Errorf("got %d, want 200", got)
		}
	}
}

// A proof is for one host, and so is the decision that it has led to.
func TestADecisionIsForTheHostOfItsProof(t *testing.T) {
	for name, tt := range map[string]struct {
		dpop popauth.Confirmer
		want int
	}{
		"the sender's host":     {lab.Proofs(dpop.Options{URL: dpop.RequestURL}), 401},
		"BaseURL":               {lab.Proofs(dpop.Options{BaseURL: "https://api.example.com"}), 200},
		"one inside of another": {hostless{lab.Proofs(dpop.Options{BaseURL: "https://api.example.com"})}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			a := lab.NewDPoPAPI(t, dpop.Options{}, func(o *popauth.Options) {
				o.Confirmers = []popauth.Confirmer{tt.dpop}
			})
			for host, want := range map[string]int{"": 200, "b.example.com": tt.want} {
				for stage, inner := range map[string]func(http.Handler) http.Handler{
					"Confirm": a.Guard.Confirm, "Recheck": rechecked(a.Guard),
				} {
					r := a.Request()
					r.Header.Set("X-Forwarded-Host", host)
					w, before := httptest.NewRecorder(), a.Spy.Ran()
					lab.Chain(a.Guard.Authenticate, hostFromHeader, inner)(a.Spy).ServeHTTP(w, r)
					if ran := a.Spy.Ran() > before; ran != (want == 200) {
						t.Errorf("%s, host %q: got %d, ran %t, want %d", stage, host, w.Code, ran, want)
					}
				}
			}
		})
	}
}

// hostless is somebody else's Confirmer, which may go by more than the one that it has embedded.
type hostless struct{ *dpop.Confirmer }

func rechecked(g *popauth.Guard) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := g.Recheck(r); err != nil {
				g.Refuse(w, r, err)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// Of somebody else's Confirmer nobody knows what it goes by: it is asked again at another host.
func TestAConfirmerIsAskedForEachHost(t *testing.T) {
	l := lab.New(t)
	asked := 0
	g := l.Guard(func(o *popauth.Options) {
		o.Confirmers = []popauth.Confirmer{hostConfirmer{&asked}}
	})
	token := l.Issuer.Token(popauthtest.Claims{"cnf": map[string]any{"x-host": "a.example.com"}})
	for host, want := range map[string]int{"a.example.com": 200, "b.example.com": 401} {
		r := httptest.NewRequest("GET", "https://a.example.com/", http.NoBody)
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("X-Forwarded-Host", host)
		if o := lab.Send(lab.Chain(g.Authenticate, hostFromHeader, g.Confirm), r); o.Status != want || o.Ran != (want == 200) {
			t.Errorf("%s: got %d, ran %t, want %d", host, o.Status, o.Ran, want)
		}
	}
	if asked != 3 {
		t.Errorf("asked %d times, want 3: twice outside, once more at the other host", asked)
	}
}

type hostConfirmer struct{ asked *int }

func (hostConfirmer) Member() string { return "x-host" }

func (c hostConfirmer) Confirm(r *http.Request, p popauth.Presentation) error {
	*c.asked++
	if r.Host != p.Binding.Value {
		return popauth.ErrBindingUnconfirmed
	}
	return nil
}

// A type that has MutualTLS embedded may look at more, the host among it: MutualTLS doesn't speak for it.
func TestAnEmbeddedMutualTLSDoesNotSpeakForItsHost(t *testing.T) {
	l := lab.New(t)
	g := l.Guard(func(o *popauth.Options) { o.Confirmers = []popauth.Confirmer{oneHost{}} })
	for host, want := range map[string]int{"a.example.com": 200, "b.example.com": 401} {
		r := l.Owner.Request("GET", "https://a.example.com/", l.Bound())
		r.Header.Set("X-Forwarded-Host", host)
		if o := lab.Send(lab.Chain(g.Authenticate, hostFromHeader, g.Confirm), r); o.Status != want || o.Ran != (want == 200) {
			t.Errorf("%s: got %d, ran %t, want %d", host, o.Status, o.Ran, want)
		}
	}
}

// oneHost takes certificate-bound tokens at one host only.
type oneHost struct{ popauth.MutualTLS }

func (o oneHost) Confirm(r *http.Request, p popauth.Presentation) error {
	if r.Host != "a.example.com" {
		return popauth.ErrBindingUnconfirmed
	}
	return o.MutualTLS.Confirm(r, p)
}
