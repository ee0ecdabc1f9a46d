package revocation_test

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/revocation"
)

// Timeout is for a whole chain, however many responders its certificates name, and none answers.
func TestTimeoutOfChain(t *testing.T) {
	over := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-over }))
	defer silent.Close()
	defer close(over)
	many := func(c *x509.Certificate) {
		for i := range 4 {
			c.OCSPServer = append(c.OCSPServer, fmt.Sprintf("%s/%d", silent.URL, i))
		}
	}
	root := popauthtest.NewCA(t)
	between := root.Intermediate("between", many)
	const limit = 250 * time.Millisecond
	c := checker(t, revocation.Options{OCSP: true, Timeout: limit})
	start := time.Now()
	is(t, "silent", try(t, c, root, between.Client("c", many)), http.StatusServiceUnavailable)
	if took := time.Since(start); took > 4*limit { // eight, if each had its own
		t.Errorf("took %v, want about %v", took, limit)
	}
}

// A responder whose certificate is signed with SHA-1 answers for nobody: another one could be made with its signature.
func TestResponderCertificateSHA1(t *testing.T) {
	lab.NeedUnapproved(t, "SHA-1")
	for _, tt := range []struct {
		algorithm x509.SignatureAlgorithm
		want      int
	}{{x509.ECDSAWithSHA256, 200}, {x509.ECDSAWithSHA1, 503}} {
		root := popauthtest.NewCA(t)
		registry := root.Registry()
		registry.Responder = root.Client("responder", func(c *x509.Certificate) {
			c.ExtKeyUsage, c.SignatureAlgorithm = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}, tt.algorithm
		})
		is(t, tt.algorithm.String(), try(t, checker(t, revocation.Options{OCSP: true}), root, root.Client("c", registry.OCSP)), tt.want)
	}
}

// What was to come by https doesn't come by http, be it from the same host.
func TestRedirectToPlainText(t *testing.T) {
	for _, tt := range []struct {
		from, to string
		want     int
	}{
		{"https", "https", 200}, {"http", "http", 200}, {"http", "https", 200}, {"https", "http", 503},
	} {
		for _, kind := range []string{"ocsp", "crl"} {
			root := popauthtest.NewCA(t)
			registry := root.Registry()
			var asked []string
			client := &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
				asked = append(asked, r.URL.Scheme)
				if r.URL.RawQuery == "" {
					return &http.Response{
						StatusCode: http.StatusTemporaryRedirect, Body: http.NoBody, Request: r,
						Header: http.Header{"Location": {tt.to + "://" + r.URL.Host + r.URL.Path + "?1"}},
					}, nil
				}
				r = r.Clone(r.Context())
				r.URL.Scheme = "http" // where the registry is
				return http.DefaultTransport.RoundTrip(r)
			})}
			name := registry.OCSP
			if kind == "crl" {
				name = registry.CRL
			}
			leaf := root.Client("c", name, func(c *x509.Certificate) {
				for _, list := range [][]string{c.OCSPServer, c.CRLDistributionPoints} {
					for i := range list {
						list[i] = tt.from + strings.TrimPrefix(list[i], "http")
					}
				}
			})
			c := checker(t, revocation.Options{OCSP: kind == "ocsp", DistributionPoints: kind == "crl", Client: client})
			is(t, kind+" "+tt.from+" to "+tt.to, try(t, c, root, leaf), tt.want)
			if tt.want != 200 && slices.Contains(asked, tt.to) {
				t.Errorf("%s: got %q asked, want nothing by %s", kind, asked, tt.to)
			}
		}
	}
}

// A certificate that names many responders or lists has the first four asked: each costs its request time.
func TestAddressesAreBounded(t *testing.T) {
	for _, kind := range []string{"ocsp", "crl"} {
		for _, tt := range []struct{ bad, want, requests int }{{3, 200, 4}, {4, 503, 4}, {40, 503, 4}} {
			root := popauthtest.NewCA(t)
			registry := root.Registry()
			leaf := root.Client("c", func(c *x509.Certificate) {
				var all []string
				for i := range tt.bad {
					all = append(all, fmt.Sprintf("%s/gone/%d", registry.Server.URL, i))
				}
				if kind == "ocsp" {
					c.OCSPServer = append(all, registry.Server.URL+"/ocsp")
				} else {
					c.CRLDistributionPoints = append(all, registry.Server.URL+"/crl")
				}
			})
			c := checker(t, revocation.Options{OCSP: true, DistributionPoints: true})
			is(t, fmt.Sprintf("%s after %d that are gone", kind, tt.bad), try(t, c, root, leaf), tt.want)
			is(t, kind+" requests", registry.Requests(), tt.requests)
		}
	}
}

// What expires within the hour is fetched anew when it does, not when the hour is over.
func TestRefetchedAtExpiry(t *testing.T) {
	for _, kind := range []string{"ocsp", "crl"} {
		root := popauthtest.NewCA(t)
		registry := root.Registry()
		clock := popauthtest.NewClock(time.Now())
		registry.Now = clock.Now
		registry.Answer = func(r *ocsp.Response) { r.NextUpdate = clock.Now().Add(10 * time.Minute) }
		registry.List = func(l *x509.RevocationList) { l.NextUpdate = clock.Now().Add(10 * time.Minute) }
		name := registry.OCSP
		if kind == "crl" {
			name = registry.CRL
		}
		leaf := root.Client("c", name)
		c := checker(t, revocation.Options{OCSP: true, DistributionPoints: true, Now: clock.Now})
		chain := revoked(certificate(t, leaf), root.Certificate)
		for i := range 3 {
			if got, err := c.Revoked(t.Context(), chain); got || err != nil {
				t.Errorf("%s, after %d periods: got %t, %v, want good", kind, i, got, err)
			}
			clock.Advance(11 * time.Minute)
		}
		registry.Revoke(chain[0])
		if got, err := c.Revoked(t.Context(), chain); !got {
			t.Errorf("%s: got %t, %v, want revoked", kind, got, err)
		}
	}
}
