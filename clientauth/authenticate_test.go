package clientauth_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientauth"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// A name counts only in a certificate that somebody vouches for: anybody can write it into one of his own.
func TestNamesNeedTrust(t *testing.T) {
	ca, other := popauthtest.NewCA(t), popauthtest.NewCA(t)
	names := func(c *x509.Certificate) {
		c.DNSNames, c.EmailAddresses = []string{"batch.example.com"}, []string{"batch@example.com"}
		c.URIs = []*url.URL{{Scheme: "spiffe", Host: "example.org", Path: "/batch"}}
		c.IPAddresses = append(c.IPAddresses, []byte{10, 0, 0, 7})
	}
	server := func(c *x509.Certificate) { names(c); c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }
	intermediate := ca.Intermediate("issuing")
	self, listed := popauthtest.SelfSigned(t, "batch", names), other.Client("batch", names)
	only := func(c *popauthtest.Client) *x509.CertPool {
		pool := x509.NewCertPool()
		pool.AddCert(c.Certificate.Leaf)
		return pool
	}
	for _, credential := range []clientauth.Credential{
		must(t)(clientauth.SubjectDN("CN=batch")),
		must(t)(clientauth.SANDNS("batch.example.com")),
		must(t)(clientauth.SANURI("spiffe://example.org/batch")),
		must(t)(clientauth.SANIP("10.0.0.7")),
		must(t)(clientauth.SANEmail("batch@example.com")),
	} {
		for _, tt := range []struct {
			name     string
			client   *popauthtest.Client
			verified popauth.VerifiedBy
			roots    *x509.CertPool
			want     clientauth.Reason // "": accepted
		}{
			{"of the root", ca.Client("batch", names), popauth.NotVerified, ca.Pool(), ""},
			{"of an intermediate", intermediate.Client("batch", names), popauth.NotVerified, ca.Pool(), ""},
			{"self-signed with the name", popauthtest.SelfSigned(t, "batch", names), popauth.NotVerified, ca.Pool(),
				clientauth.ErrCertificateUntrusted},
			{"of another authority", other.Client("batch", names), popauth.NotVerified, ca.Pool(), clientauth.ErrCertificateUntrusted},
			{"of another authority that TLS knows", other.Client("batch", names), popauth.VerifiedByTLS, ca.Pool(),
				clientauth.ErrCertificateUntrusted},
			// Accepted for its key, it would speak for every client whose name it has written into itself.
			{"self-signed, and one of the roots", self, popauth.NotVerified, only(self), clientauth.ErrCertificateUntrusted},
			{"self-signed, and TLS knows it", self, popauth.VerifiedByTLS, nil, clientauth.ErrCertificateUntrusted},
			{"self-signed, and accepted locally", self, popauth.VerifiedLocally, nil, clientauth.ErrCertificateUntrusted},
			{"itself one of the roots", listed, popauth.NotVerified, only(listed), clientauth.ErrCertificateUntrusted},
			{"for servers", ca.Client("batch", server), popauth.NotVerified, ca.Pool(), clientauth.ErrCertificateUntrusted},
			{"with another name", ca.Client("other"), popauth.NotVerified, ca.Pool(), clientauth.ErrCertificateMismatch},
			{"verified by TLS", ca.Client("batch", names), popauth.VerifiedByTLS, nil, ""},
			{"verified by the proxy", ca.Client("batch", names), popauth.VerifiedByProxy, nil, ""},
			{"verified locally", ca.Client("batch", names), popauth.VerifiedLocally, nil, ""},
			{"verified by nobody", ca.Client("batch", names), popauth.NotVerified, nil, clientauth.ErrCertificateUntrusted},
			{"verified by something unknown", ca.Client("batch", names), popauth.VerifiedBy(99), nil, clientauth.ErrCertificateUntrusted},
			{"verified, with another name", ca.Client("other"), popauth.VerifiedByTLS, nil, clientauth.ErrCertificateMismatch},
		} {
			t.Run(credential.String()+" "+tt.name, func(t *testing.T) {
				a := newAuth(t, clientauth.Options{
					Clients:     clientauth.Static{"batch": {{Credential: credential}}},
					Certificate: fixed{certificate: by(tt.client, tt.verified)}, Roots: tt.roots,
				})
				got := send(a, post(nil, form))
				if tt.want != "" {
					got.refused(t, tt.want, 401, "invalid_client")
					return
				}
				got.passed(t, "batch")
				if got.client.Method != clientauth.TLSClientAuth || got.client.Confirmation().Thumbprint != tt.client.Thumbprint() {
					t.Errorf("got %+v", got.client)
				}
			})
		}
	}
}

func TestTooManyIntermediates(t *testing.T) {
	ca := popauthtest.NewCA(t)
	issuing := ca.Intermediate("issuing")
	c := by(issuing.Client("batch"), popauth.NotVerified)
	a := newAuth(t, clientauth.Options{
		Clients:     clientauth.Static{"batch": {{Credential: must(t)(clientauth.SubjectDN("CN=batch"))}}},
		Certificate: fixed{certificate: c}, Roots: ca.Pool(),
	})
	for len(c.Intermediates) < 39 { // one certificate, so one way: clientcert.Verified reads 40
		c.Intermediates = append(c.Intermediates, issuing.Certificate)
	}
	send(a, post(nil, form)).passed(t, "batch")
	c.Intermediates = append(c.Intermediates, issuing.Certificate)
	send(a, post(nil, form)).refused(t, clientauth.ErrCertificateUntrusted, 401, "invalid_client")
}

// Whatever a client was refused for, the answer is the same, byte for byte.
func TestAnswersTellNothing(t *testing.T) {
	ca := popauthtest.NewCA(t)
	owner, thief := popauthtest.SelfSigned(t, "own"), popauthtest.SelfSigned(t, "batch")
	old := popauthtest.SelfSigned(t, "old", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	expired := thumbprint(t, thief)
	expired.Expires = time.Now().Add(-time.Minute)
	a := newAuth(t, clientauth.Options{Roots: ca.Pool(), Clients: clientauth.Static{
		"pinned": {thumbprint(t, owner)}, "expired": {expired}, "old": {thumbprint(t, old)},
		"named": {{Credential: must(t)(clientauth.SubjectDN("CN=batch"))}},
	}})
	var first *outcome
	for name, r := range map[string]*http.Request{
		"unknown client":       post(thief, "client_id=stranger"),
		"unknown, Evil":        post(thief, "client_id=%3Cscript%3E"),
		"impossible client":    post(thief, "client_id=%00"),
		"wrong certificate":    post(thief, "client_id=pinned"),
		"untrusted name":       post(thief, "client_id=named"),
		"expired registration": post(thief, "client_id=expired"),
		"expired certificate":  post(old, "client_id=old"),
		"no certificate":       post(nil, "client_id=pinned"),
		"ordinary endpoint":    post(thief, "client_id=pinned", func(r *http.Request) { r.Host = "example.com" }),
	} {
		got := send(a, r)
		if got.ran || got.Code != 401 {
			t.Errorf("%s: got %d", name, got.Code)
		}
		got.Header().Del("Connection") // says of the certificate what its sender knows
		if first == nil {
			first = &got
		}
		if got.Body.String() != first.Body.String() || len(got.Header()) != len(first.Header()) {
			t.Errorf("%s: got %s %v, want %s %v", name, got.Body, got.Header(), first.Body, first.Header())
		}
	}
}

// Certificates are replaced without a gap: several registrations, the first valid one that fits counts.
func TestRegistrations(t *testing.T) {
	clock := popauthtest.NewClock(time.Now())
	ca := popauthtest.NewCA(t)
	old, next, third := ca.Client("batch"), ca.Client("batch"), popauthtest.SelfSigned(t, "batch")
	until := func(c *popauthtest.Client, d time.Duration) clientauth.Registration {
		reg := thumbprint(t, c)
		reg.Expires = clock.Now().Add(d)
		return reg
	}
	byName := clientauth.Registration{Credential: must(t)(clientauth.SubjectDN("CN=batch"))}
	short := byName
	short.Expires = clock.Now().Add(time.Minute)
	regs := []clientauth.Registration{
		until(old, -time.Hour), {}, until(old, time.Minute), until(next, time.Hour), short, byName, thumbprint(t, third),
	}
	a := newAuth(t, clientauth.Options{
		Clients: &recording{regs: regs}, Now: clock.Now, Roots: ca.Pool(),
	})
	accepted := func(c *popauthtest.Client, want clientauth.Registration, method clientauth.Method) {
		t.Helper()
		got := send(a, post(c, form))
		got.passed(t, "batch")
		if got.client == nil || got.client.Registration.Expires != want.Expires || got.client.Method != method ||
			got.client.Registration.Credential.String() != want.Credential.String() {
			t.Errorf("got %+v, want %+v", got.client, want)
		}
	}
	accepted(old, regs[2], clientauth.SelfSignedTLSClientAuth)
	accepted(next, regs[3], clientauth.SelfSignedTLSClientAuth)
	accepted(third, regs[6], clientauth.SelfSignedTLSClientAuth) // past a name that nobody vouches for
	clock.Advance(time.Minute - time.Nanosecond)
	accepted(old, regs[2], clientauth.SelfSignedTLSClientAuth)
	clock.Advance(time.Nanosecond)
	accepted(old, regs[5], clientauth.TLSClientAuth)
	regs = regs[:4]
	a = newAuth(t, clientauth.Options{Clients: &recording{regs: regs}, Now: clock.Now, Roots: ca.Pool()})
	send(a, post(old, form)).refused(t, clientauth.ErrCertificateMismatch, 401, "invalid_client")
	accepted(next, regs[3], clientauth.SelfSignedTLSClientAuth)
}

func TestPeriodOfTheCertificate(t *testing.T) {
	ca := popauthtest.NewCA(t)
	clock := popauthtest.NewClock(time.Now())
	owner := ca.Client("batch")
	for name, reg := range map[string]clientauth.Registration{
		"pinned": thumbprint(t, owner), "named": {Credential: must(t)(clientauth.SubjectDN("CN=batch"))},
	} {
		a := newAuth(t, clientauth.Options{
			Clients: clientauth.Static{"batch": {reg}}, Now: clock.Now,
			// Verified long ago, when the connection was made.
			Certificate: fixed{certificate: by(owner, popauth.VerifiedByTLS)},
		})
		for at, want := range map[time.Time]bool{
			owner.Certificate.Leaf.NotBefore: true, owner.Certificate.Leaf.NotBefore.Add(-time.Second): false,
			owner.Certificate.Leaf.NotAfter: true, owner.Certificate.Leaf.NotAfter.Add(time.Second): false,
		} {
			clock.Advance(at.Sub(clock.Now()))
			if got := send(a, post(nil, form)); want {
				got.passed(t, "batch")
			} else {
				t.Log(name)
				got.refused(t, clientauth.ErrCertificateUntrusted, 401, "invalid_client")
			}
		}
	}
}

func TestMethods(t *testing.T) {
	ca := popauthtest.NewCA(t)
	owner := ca.Client("batch")
	clients := clientauth.Static{
		"pinned": {thumbprint(t, owner)}, "named": {{Credential: must(t)(clientauth.SubjectDN("CN=batch"))}},
	}
	for method, want := range map[clientauth.Method]string{
		clientauth.TLSClientAuth: "named", clientauth.SelfSignedTLSClientAuth: "pinned",
	} {
		a := newAuth(t, clientauth.Options{Clients: clients, Roots: ca.Pool(), Methods: []clientauth.Method{method}})
		for id := range clients {
			if got := send(a, post(owner, "client_id="+id)); id == want {
				got.passed(t, id)
			} else {
				got.refused(t, clientauth.ErrCertificateMismatch, 401, "invalid_client")
			}
		}
	}
}

func TestAlwaysBind(t *testing.T) {
	owner := popauthtest.SelfSigned(t, "batch")
	clients := clientauth.Static{"batch": {thumbprint(t, owner)}}
	for _, tt := range []struct {
		name string
		bind bool
		r    *http.Request
		want clientauth.Reason
		cnf  bool
	}{
		{"certificate alone", true, post(owner, form), "", true},
		{"secret", true, post(owner, form+"&client_secret=s"), clientauth.ErrOtherMethod, true},
		{"Basic", true, post(owner, "", basic("web", "s")), clientauth.ErrOtherMethod, true},
		{"public client", true, post(owner, "client_id=app"), clientauth.ErrOtherMethod, true},
		{"ordinary endpoint", true, post(owner, form, func(r *http.Request) { r.Host = "example.com" }), clientauth.ErrOtherMethod, false},
		{"off", false, post(owner, form), "", false},
		{"off, ordinary endpoint", false, post(owner, form, func(r *http.Request) { r.Host = "example.com" }), clientauth.ErrOtherMethod,
			false},
		{"off, secret", false, post(owner, form+"&client_secret=s"), clientauth.ErrTwoMethods, false},
		{"off, public client", false, post(owner, "client_id=app"), clientauth.ErrClientUnknown, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newAuth(t, clientauth.Options{Clients: clients, AlwaysBind: tt.bind})
			a.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				client, err := a.Authenticate(r)
				if tt.want == "" && (err != nil || client.Confirmation().Thumbprint != owner.Thumbprint()) ||
					tt.want != "" && (client != nil || !errors.Is(err, tt.want)) {
					t.Errorf("got %v, %v, want %v", client, err, tt.want)
				}
				cnf := clientauth.Confirmation{}
				if tt.cnf {
					cnf.Thumbprint = owner.Thumbprint()
				}
				if got := a.Confirmation(r); got != cnf {
					t.Errorf("cnf: got %v, want %v", got, cnf)
				}
			})).ServeHTTP(httptest.NewRecorder(), tt.r)
		})
	}
}

// Behind a proxy, what an outer handler found counts: the proxy's own certificate never is the caller's.
func TestProxysOwnCertificate(t *testing.T) {
	ingress, owner := popauthtest.SelfSigned(t, "proxy"), popauthtest.SelfSigned(t, "batch")
	a := newAuth(t, clientauth.Options{Clients: clientauth.Static{"batch": {thumbprint(t, owner)}, "proxy": {thumbprint(t, ingress)}}})
	outer := popauth.ClientCertificate(byProxy(proxy.RFC9440(), proxy.TrustPeers(netip.MustParsePrefix("192.0.2.1/32"))))
	through := func(r *http.Request) outcome {
		w := outcome{ResponseRecorder: httptest.NewRecorder()}
		outer(a.Handler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if w.client, w.err = a.Authenticate(r); w.err != nil {
				clientauth.WriteError(rw, w.err)
				return
			}
			w.ran = true
		}))).ServeHTTP(w, r)
		return w
	}
	through(post(ingress, "client_id=proxy")).refused(t, clientauth.ErrCertificateMissing, 401, "invalid_client")
	through(post(ingress, form, clientCert(owner))).passed(t, "batch")
	elsewhere := func(r *http.Request) { r.RemoteAddr = "198.51.100.1:1" }
	through(post(nil, form, clientCert(owner), elsewhere)).refused(t, clientauth.ErrCertificateMissing, 401, "invalid_client")
	through(post(owner, form, elsewhere)).passed(t, "batch")
}

// The text for logs says what the operator needs, quoted; the answer says nothing of it.
func TestErrorText(t *testing.T) {
	owner := popauthtest.SelfSigned(t, "own")
	thief := popauthtest.SelfSigned(t, "x", func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: "a\nlevel=INFO"} })
	a := newAuth(t, clientauth.Options{Clients: clientauth.Static{"batch": {thumbprint(t, owner)}}})
	got := send(a, post(thief, form))
	text := got.err.Error()
	for _, part := range []string{"clientauth: ", `client "batch"`, thief.Thumbprint(), `"CN=a\nlevel=INFO"`} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in %q", part, text)
		}
	}
	if strings.Contains(text, "\n") || strings.Contains(got.Body.String(), "batch") {
		t.Errorf("got %q, %s", text, got.Body)
	}
	e, ok := errors.AsType[*clientauth.Error](got.err)
	if !ok || e.Reason != clientauth.ErrCertificateMismatch || e.Status() != 401 || e.Code() != "invalid_client" || !errors.Is(e, e.Err) {
		t.Errorf("got %+v", e)
	}
	bare := &clientauth.Error{Reason: clientauth.ErrClientUnknown}
	if bare.Error() != "clientauth: "+clientauth.ErrClientUnknown.Error() || !errors.Is(bare, clientauth.ErrClientUnknown) {
		t.Errorf("got %v", bare)
	}
	for _, tt := range []struct {
		err    error
		status int
	}{
		{clientauth.ErrOtherMethod, 401}, {errors.New("x"), 500}, {nil, 500}, {clientauth.Reason("x"), 500},
		{&clientauth.Error{Reason: "x"}, 500}, {&clientauth.Error{}, 500},
	} {
		w := httptest.NewRecorder()
		clientauth.WriteError(w, tt.err)
		if w.Code != tt.status {
			t.Errorf("%v: got %d, want %d", tt.err, w.Code, tt.status)
		}
	}
}
