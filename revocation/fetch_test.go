package revocation_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"math/big"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/revocation"
)

func contains(err error, text string) bool { return err != nil && strings.Contains(err.Error(), text) }

// What ends the goroutine of a fetch, a panic of the caller's transport too, ends nothing else.
func TestFetchEndsBadly(t *testing.T) {
	nothingLeft(t)
	root := popauthtest.NewCA(t)
	registry := root.Registry()
	cert := certificate(t, root.Client("c", registry.OCSP, registry.CRL))
	for want, f := range map[string]transport{
		"panicked: no network": func(*http.Request) (*http.Response, error) { panic("no network") },
		"did not end":          func(*http.Request) (*http.Response, error) { runtime.Goexit(); return nil, nil },
	} {
		for _, o := range []revocation.Options{{OCSP: true}, {DistributionPoints: true}} {
			o.Client = &http.Client{Transport: f}
			c := checker(t, o)
			for i := range 80 { // places for fetches are given back
				one := *cert
				one.SerialNumber = big.NewInt(int64(i) + 1)
				one.CRLDistributionPoints = []string{fmt.Sprint(registry.Server.URL, "/", i)}
				if got, err := c.Revoked(t.Context(), revoked(&one, root.Certificate)); got || !contains(err, want) {
					t.Fatalf("got %t, %v, want %s", got, err, want)
				}
			}
		}
	}
}

// A host that asks to be left alone is, whatever it is to be asked for, until then and no longer than ten minutes.
func TestRetryAfter(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		said   func(now time.Time) string
		wait   time.Duration // 0: the pause after any failure
	}{
		{"seconds", 429, func(time.Time) string { return "120" }, 2 * time.Minute},
		{"503", 503, func(time.Time) string { return "120" }, 2 * time.Minute},
		{"a date", 503, func(now time.Time) string { return now.Add(2 * time.Minute).UTC().Format(http.TimeFormat) }, 2 * time.Minute},
		{"too long", 503, func(time.Time) string { return "86400" }, 10 * time.Minute},
		{"another status", 500, func(time.Time) string { return "120" }, 0},
		{"nonsense", 503, func(time.Time) string { return "soon" }, 0},
		{"negative", 503, func(time.Time) string { return "-5" }, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := popauthtest.NewCA(t)
			registry := root.Registry()
			clock := popauthtest.NewClock(time.Now().Truncate(time.Second))
			registry.Serve = func(http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Retry-After", tt.said(clock.Now()))
					w.WriteHeader(tt.status)
				})
			}
			first, second := certificate(t, root.Client("a", registry.OCSP)), certificate(t, root.Client("b", registry.OCSP))
			c := checker(t, revocation.Options{OCSP: true, Now: clock.Now})
			verdict(t, c, first, root.Certificate)
			verdict(t, c, second, root.Certificate)
			if tt.wait == 0 {
				is(t, "requests about two certificates", registry.Requests(), 2)
				return
			}
			is(t, "requests about two certificates", registry.Requests(), 1)
			clock.Advance(tt.wait - time.Second)
			verdict(t, c, first, root.Certificate)
			is(t, "requests before the time", registry.Requests(), 1)
			clock.Advance(time.Second)
			verdict(t, c, first, root.Certificate)
			is(t, "requests after it", registry.Requests(), 2)
		})
	}
}

// A host that wants to be left alone isn't asked under another address of its own, and others are asked on.
func TestRetryAfterIsOneHosts(t *testing.T) {
	root, other := popauthtest.NewCA(t), popauthtest.NewCA(t)
	busy, open := root.Registry(), other.Registry()
	busy.Serve = func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "120")
			w.WriteHeader(http.StatusServiceUnavailable)
		})
	}
	c := checker(t, revocation.Options{OCSP: true, DistributionPoints: true})
	for name, certs := range map[string][]*x509.Certificate{
		"OCSP":   {certificate(t, root.Client("a", busy.OCSP, busy.CRL)), certificate(t, other.Client("b", open.OCSP))},
		"a list": {certificate(t, root.Client("c", busy.CRL)), certificate(t, other.Client("d", open.CRL))},
	} {
		for host, row := range map[string]struct {
			ca   *popauthtest.CA
			cert *x509.Certificate
			want string
		}{"the busy host": {root, certs[0], "unknown"}, "another": {other, certs[1], "good"}} {
			if got := verdict(t, c, row.cert, row.ca.Certificate); got != row.want {
				t.Errorf("%s of %s: got %s, want %s", name, host, got, row.want)
			}
		}
	}
	is(t, "requests to the busy host", busy.Requests(), 1)
	is(t, "requests to another", open.Requests(), 2)
}

// What counts is the address that is dialled: neither a spelling nor a name leads where the option doesn't.
func TestAddresses(t *testing.T) {
	const internal, never = "Options.InternalAddresses", "no certificate may name"
	for address, want := range map[string]string{
		"93.184.215.14:80": "", "[2606:2800:21f:cb07::1]:80": "", "[64:ff9b::5db8:d70e]:80": "",
		"127.0.0.1:80": internal, "127.9.9.9:80": internal, "[::1]:80": internal, "[::ffff:127.0.0.1]:80": internal,
		"10.0.0.1:80":   internal,
		"172.16.0.1:80": internal, "192.168.1.1:80": internal, "100.64.0.1:80": internal,
		"[fd00::1]:80": internal, "[64:ff9b::7f00:1]:80": internal,
		"[2002:7f00:1::]:80": internal, "198.18.0.1:80": internal, "[fec0::1]:80": internal, "0.1.2.3:80": internal,
		"169.254.169.254:80": never, "[fe80::1%lo]:80": never, "[::ffff:169.254.169.254]:80": never, "[64:ff9b::a9fe:a9fe]:80": never,
		"0.0.0.0:80": never, "[::]:80": never, "224.0.0.1:80": never, "[ff02::1]:80": never,
		"255.255.255.255:80": never,
		// Clouds tell a machine about itself there.
		"[fd00:ec2::254]:80": never, "[fd00:ec2::23]:80": never, "[fd20:ce::254]:80": never, "[fd00:c1::a9fe:a9fe]:80": never,
		"[fd00:42::42]:80": never, "168.63.129.16:80": never, "100.100.100.200:80": never, "192.0.0.192:80": never,
		// Ways of IPv6 to an address of IPv4.
		"[::127.0.0.1]:80": internal, "[::a9fe:a9fe]:80": never, "[::ffff:0:127.0.0.1]:80": internal,
		"[::ffff:0:169.254.169.254]:80": never,
		"[::ffff:0:5db8:d70e]:80":       "", "[64:ff9b::a83f:8110]:80": never, "[2002:a9fe:a9fe::1]:80": never,
		"[2002:5db8:d70e::1]:80":                    "",
		"[2001:0:4136:e378:8000:63bf:5601:5601]:80": never, "[fe80::5efe:7f00:1]:80": never, "[2606:2800::5efe:7f00:1]:80": internal,
		"[2606:2800::200:5efe:a9fe:a9fe]:80": never, "[2606:2800::5efe:5db8:d70e]:80": "", "[2606:2800::1:5efe:7f00:1]:80": "",
		"[2606:2800::5ffe:7f00:1]:80": "", "[64:ff9b:1::a9fe:a9fe]:80": never,
		"[64:ff9b:1:a9fe:a9:fe00::]:80": never, "[64:ff9b:1:a9:fe:a9fe::]:80": never, "[64:ff9b:1::a9:fea9:fe00:0]:80": never,
		"[64:ff9b:1::5db8:d70e]:80": internal,
		// Nobody has a server there.
		"192.0.2.1:80": internal, "[2001:db8::1]:80": internal, "[100::1]:80": internal, "[3fff::1]:80": internal, "[5f00::1]:80": internal,
	} {
		for _, open := range []bool{false, true} {
			err := revocation.CheckAddress(address, open)
			fine := want == "" || open && want == internal
			if fine != (err == nil) || !fine && !contains(err, want) {
				t.Errorf("%s, InternalAddresses %t: got %v, want %q", address, open, err, want)
			}
		}
	}
	root := popauthtest.NewCA(t)
	registry := root.Registry()
	port := registry.Server.URL[strings.LastIndex(registry.Server.URL, ":"):]
	for _, host := range []string{
		"127.0.0.1", "localhost", "localhost.", "127.1", "0x7f000001", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]",
		"0",
	} {
		cert := *certificate(t, root.Client("c"))
		cert.OCSPServer = []string{"http://" + host + port + "/ocsp"}
		cert.CRLDistributionPoints = []string{"http://" + host + port + "/crl"}
		c, err := revocation.New(revocation.Options{OCSP: true, DistributionPoints: true})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if _, err := c.Revoked(ctx, revoked(&cert, root.Certificate)); err == nil {
			t.Errorf("VULNERABLE: %s was asked", host)
		}
		cancel()
	}
	is(t, "requests", registry.Requests(), 0)
}
