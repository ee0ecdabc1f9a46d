package issuers_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/popauthtest"
)

const (
	svidBatch    = "spiffe://example.org/batch"
	svidAudience = "https://api.example.com"
)

// spireFile is a file of testdata/spire, which SPIRE's own code has written.
func spireFile(t *testing.T, name ...string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{"testdata", "spire"}, name...)...))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// spireClock is a clock that shows when the SVIDs were made, and later.
func spireClock(t *testing.T, later time.Duration) func() time.Time {
	t.Helper()
	made, err := time.Parse(time.RFC3339, strings.TrimSpace(string(spireFile(t, "time"))))
	if err != nil {
		t.Fatal(err)
	}
	return popauthtest.NewClock(made.Add(later)).Now
}

func jwtSVID(t *testing.T, name ...string) string {
	t.Helper()
	return strings.TrimSpace(string(spireFile(t, name...)))
}

// spireKeys are the keys of a trust domain, as this file of it has them.
func spireKeys(t *testing.T, name ...string) popauth.KeySource {
	t.Helper()
	keys, err := popauth.StaticKeys(spireFile(t, name...))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// JWT-SVIDs as SPIRE signs them: the workload's own, and those that are another's, for another API, of another trust domain, or old.
// The keys are those of a bundle, or of SPIRE's discovery provider.
func TestSPIREJWTSVIDs(t *testing.T) {
	batch, other := jwtSVID(t, "example.org", "batch.jwt"), jwtSVID(t, "example.org", "other.jwt")
	spliced := other[:strings.LastIndex(other, ".")] + batch[strings.LastIndex(batch, "."):]
	stranger := jwtSVID(t, "example.net", "batch.jwt")
	for _, file := range []string{"bundle.json", "jwks.json"} {
		for _, tt := range []struct {
			name, token, keysOf, issuer string
			later                       time.Duration
			reason                      popauth.Reason
			text, as                    string
		}{
			{name: "its own", token: batch, as: svidBatch},
			{name: "another workload's", token: other, reason: popauth.ErrForbidden},
			{name: "another's, with its signature", token: spliced, reason: popauth.ErrTokenSignature},
			{name: "for another API", token: jwtSVID(t, "example.org", "elsewhere.jwt"), reason: popauth.ErrTokenAudience},
			{name: "of another trust domain", token: stranger, reason: popauth.ErrTokenKey},
			{name: "of another trust domain, whose keys are in", token: stranger, keysOf: "example.net", reason: popauth.ErrTokenIssuer,
				text: "example.net"},
			{name: "old", token: batch, later: 10 * time.Minute, reason: popauth.ErrTokenExpired},
			{name: "before its time", token: batch, later: -10 * time.Minute, reason: popauth.ErrTokenNotYetValid},
			{name: "with iss", token: jwtSVID(t, "example.org", "issuer.jwt"), reason: popauth.ErrTokenIssuer},
			{name: "with iss, by it", token: jwtSVID(t, "example.org", "issuer.jwt"), issuer: "https://oidc.example.org", as: svidBatch},
			{name: "without, where it's asked for", token: batch, issuer: "https://oidc.example.org", reason: popauth.ErrTokenIssuer,
				text: "JWTOptions.JWTSVIDs"},
		} {
			domain, issuer := "example.org", "spiffe://example.org"
			if tt.keysOf != "" {
				domain = tt.keysOf
			}
			if tt.issuer != "" {
				issuer = tt.issuer
			}
			v, err := popauth.NewJWTVerifier(popauth.JWTOptions{
				Issuer: issuer, Audience: []string{svidAudience}, TokenTypes: []string{"JWT", "JOSE", ""}, JWTSVIDs: tt.issuer == "",
				Keys: spireKeys(t, domain, file), Now: spireClock(t, time.Minute+tt.later),
			})
			if err != nil {
				t.Fatal(err)
			}
			d := decide(t, popauth.Options{Verifier: v, Now: spireClock(t, time.Minute+tt.later)}, tt.token, popauth.Subject(svidBatch))
			switch {
			case d.reason != tt.reason || !strings.Contains(d.text, tt.text):
				t.Errorf("%s, %s: got %q (%s), want %q with %q", file, tt.name, d.reason, d.text, tt.reason, tt.text)
			case tt.as != "" && (d.as == nil || d.as.Subject != tt.as || d.as.Issuer != issuer):
				t.Errorf("%s, %s: got %v, want %s of %s", file, tt.name, d.as, tt.as, issuer)
			}
		}
	}
}

// A JWT-SVID is bound to nothing: Confirm refuses it, whoever sends it.
func TestSPIREJWTSVIDUnbound(t *testing.T) {
	now := spireClock(t, time.Minute)
	v, err := popauth.NewJWTVerifier(popauth.JWTOptions{
		Issuer: "spiffe://example.org", Audience: []string{svidAudience}, TokenTypes: []string{"JWT"}, JWTSVIDs: true,
		Keys: spireKeys(t, "example.org", "bundle.json"), Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	var reason popauth.Reason
	g, err := popauth.New(popauth.Options{Verifier: v, Now: now, Deny: func(w http.ResponseWriter, _ *http.Request, e *popauth.Error) {
		reason = e.Reason
		w.WriteHeader(e.Status())
	}})
	if err != nil {
		t.Fatal(err)
	}
	server, spy := spireServer(t, g.Confirm)
	owner, svid := workload(t, "example.org", "batch"), jwtSVID(t, "example.org", "batch.jwt")
	if got := spireGet(t, server, owner, svid); got != 401 || spy.Ran() > 0 {
		t.Errorf("got %d, ran %d times, want 401, never", got, spy.Ran())
	}
	if reason != popauth.ErrBindingMissing {
		t.Errorf("got %q, want %q", reason, popauth.ErrBindingMissing)
	}
}

// workload is who has this X.509-SVID and its key.
func workload(t *testing.T, domain, name string) *popauthtest.Client {
	t.Helper()
	text := spireFile(t, domain, name+".pem")
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		t.Fatal(err)
	}
	return &popauthtest.Client{Certificate: pair}
}

func spireRoots(t *testing.T, domain string) *x509.CertPool {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(spireFile(t, domain, "bundle.pem")) {
		t.Fatal("no certificate in bundle.pem")
	}
	return roots
}

func spireServer(t *testing.T, wrap func(http.Handler) http.Handler) (*httptest.Server, *popauthtest.Spy) {
	t.Helper()
	spy := &popauthtest.Spy{}
	return popauthtest.NewServer(t, wrap(spy)), spy
}

// spireGet is the status of a request by TLS.
func spireGet(t *testing.T, server *httptest.Server, by *popauthtest.Client, token string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/orders", nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := by.HTTP(server).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// X509-SVIDs as SPIRE signs them, in a handshake: the workload's own and others'. The roots are those of bundles.
func TestSPIREX509SVIDs(t *testing.T) {
	batch := workload(t, "example.org", "batch")
	claiming := func(c *x509.Certificate) {
		c.URIs = []*url.URL{{Scheme: "spiffe", Host: "example.org", Path: "/batch"}}
	}
	federated := popauthtest.NewCA(t)
	stolen := &popauthtest.Client{Certificate: workload(t, "example.org", "other").Certificate} // its own key and chain, another's leaf
	stolen.Certificate.Certificate = [][]byte{stolen.Certificate.Certificate[0], batch.Certificate.Certificate[0]}
	for _, tt := range []struct {
		name   string
		by     *popauthtest.Client
		later  time.Duration
		shared bool // the bundle as Roots, which are for all names
		want   int
		reason popauth.Reason // of the certificate itself
	}{
		{name: "its own", by: batch, want: http.StatusOK},
		{name: "its own, by roots of no trust domain", by: batch, shared: true, want: http.StatusForbidden},
		{name: "another workload's", by: workload(t, "example.org", "other"), want: http.StatusForbidden},
		{name: "another workload's, with the leaf beside it", by: stolen, want: http.StatusForbidden},
		{name: "of a federated trust domain", by: workload(t, "example.net", "batch"), want: http.StatusForbidden},
		{name: "claimed by a federated trust domain", by: federated.Client("", claiming), want: http.StatusForbidden,
			reason: popauth.ErrCertificateUntrusted},
		{name: "claimed by a stranger", by: popauthtest.NewCA(t).Client("", claiming), want: http.StatusForbidden,
			reason: popauth.ErrCertificateUntrusted},
		{name: "self-signed", by: popauthtest.SelfSigned(t, "", claiming), want: http.StatusForbidden,
			reason: popauth.ErrCertificateUntrusted},
		{name: "old", by: batch, later: 2 * time.Hour, want: http.StatusForbidden, reason: popauth.ErrCertificateUntrusted},
		{name: "none", by: nil, want: http.StatusForbidden},
	} {
		verification := clientcert.Verification{
			TrustDomains: map[string]*x509.CertPool{
				"example.org": spireRoots(t, "example.org"), "example.net": spireRoots(t, "example.net"), "example.com": federated.Pool(),
			},
			Now: spireClock(t, time.Minute+tt.later),
		}
		if tt.shared {
			verification.Roots, verification.TrustDomains = spireRoots(t, "example.org"), nil
		}
		source, err := clientcert.Verified(popauth.TLSCertificate(), verification)
		if err != nil {
			t.Fatal(err)
		}
		var reason popauth.Reason
		server, spy := spireServer(t, func(h http.Handler) http.Handler {
			gate := clientcert.Require(source, clientcert.SPIFFE(svidBatch))(h)
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, err := source.Certificate(r)
				errors.As(err, &reason)
				gate.ServeHTTP(w, r)
			})
		})
		got, ran := spireGet(t, server, tt.by, ""), spy.Ran()
		if got != tt.want || reason != tt.reason || ran > 0 != (tt.want == http.StatusOK) {
			t.Errorf("%s: got %d for %q, ran %d times, want %d for %q", tt.name, got, reason, ran, tt.want, tt.reason)
		}
	}
}

// A token that is bound to a workload's X509-SVID, and the other workload that has caught it.
func TestSPIREBoundToX509SVID(t *testing.T) {
	i := popauthtest.NewIssuer(t, "ES256")
	batch, other := workload(t, "example.org", "batch"), workload(t, "example.org", "other")
	g, err := popauth.New(own(t, i))
	if err != nil {
		t.Fatal(err)
	}
	server, spy := spireServer(t, g.Confirm)
	token := i.TokenWith(popauthtest.Claims{"typ": "JWT"}, batch.Bound())
	for _, tt := range []struct {
		name string
		by   *popauthtest.Client
		want int
	}{
		{"its own", batch, http.StatusOK}, {"another's", other, http.StatusUnauthorized}, {"no certificate", nil, http.StatusUnauthorized},
	} {
		before := spy.Ran()
		if got := spireGet(t, server, tt.by, token); got != tt.want || spy.Ran() > before != (tt.want == http.StatusOK) {
			t.Errorf("%s: got %d, ran %t, want %d", tt.name, got, spy.Ran() > before, tt.want)
		}
	}
}
