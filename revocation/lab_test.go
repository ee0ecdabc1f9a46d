package revocation_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/revocation"
)

func checker(tb testing.TB, o revocation.Options) *revocation.Checker {
	tb.Helper()
	o.InternalAddresses = true // registries are on loopback
	c, err := revocation.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// try sends one request through everything, with the root given, and returns its status.
func try(tb testing.TB, c *revocation.Checker, root *popauthtest.CA, client *popauthtest.Client) int {
	tb.Helper()
	source, err := clientcert.Verified(popauth.TLSCertificate(), clientcert.Verification{Roots: root.Pool(), Revoked: c.Revoked})
	if err != nil {
		tb.Fatal(err)
	}
	return status(tb, source, client)
}

func status(tb testing.TB, source popauth.CertificateSource, client *popauthtest.Client) int {
	tb.Helper()
	spy := &popauthtest.Spy{}
	w := httptest.NewRecorder()
	clientcert.Require(source)(spy).ServeHTTP(w, client.Request(http.MethodGet, "/", ""))
	if ran := spy.Ran() > 0; ran != (w.Code == http.StatusOK) {
		tb.Errorf("status %d, and the handler ran: %t", w.Code, ran)
	}
	return w.Code
}

func certificate(tb testing.TB, c *popauthtest.Client) *x509.Certificate {
	tb.Helper()
	x, err := x509.ParseCertificate(c.Certificate.Certificate[0])
	if err != nil {
		tb.Fatal(err)
	}
	return x
}

// write replaces a file at once, as whatever fetches lists should.
func write(tb testing.TB, path string, data []byte) {
	tb.Helper()
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		tb.Fatal(err)
	}
}

func listFile(tb testing.TB, data ...[]byte) string {
	tb.Helper()
	path := filepath.Join(tb.(interface{ TempDir() string }).TempDir(), "crl")
	all := data[0]
	if len(data) != 1 {
		all = nil
		for _, d := range data {
			all = append(all, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: d})...)
		}
	}
	write(tb, path, all)
	return path
}

func revoked(certs ...*x509.Certificate) []*x509.Certificate { return certs }

func is(tb testing.TB, what string, got, want int) {
	tb.Helper()
	if got != want {
		tb.Errorf("%s: got %d, want %d", what, got, want)
	}
}

// nothingLeft fails if a goroutine outlives the test.
func nothingLeft(t *testing.T) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		deadline := time.Now().Add(5 * time.Second)
		for runtime.NumGoroutine() > before && time.Now().Before(deadline) {
			time.Sleep(time.Millisecond)
		}
		if after := runtime.NumGoroutine(); after > before {
			stacks := make([]byte, 1<<16)
			t.Errorf("goroutines: got %d, want %d\n%s", after, before, stacks[:runtime.Stack(stacks, true)])
		}
	})
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
