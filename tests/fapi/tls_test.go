package fapi_test

import (
	"context"
	"crypto/tls"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/internal/counterpart"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// serverTLS are the settings of the page.
func serverTLS(c *tls.Config) {
	c.ClientAuth = tls.RequestClientCert
	c.MinVersion = tls.VersionTLS12
	c.CipherSuites = []uint16{ // of TLS 1.2: RFC 9325, section 4.2
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	}
}

// OpenSSL gets through to a server with the page's settings by what BCP 195 recommends, and by nothing else that Go has.
func TestFAPI2TLS(t *testing.T) {
	counterpart.Need(t, "openssl")
	strict := popauthtest.NewServer(t, http.NotFoundHandler(), serverTLS)
	lax := popauthtest.NewServer(t, http.NotFoundHandler())
	for _, row := range []struct {
		name  string
		flags []string
		want  bool // by the page's settings
		lax   bool // by Go's own
	}{
		{"TLS 1.3", []string{"-tls1_3"}, true, true},
		{"AES 128 GCM", []string{"-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"}, true, true},
		{"AES 256 GCM", []string{"-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"}, true, true},
		{"ChaCha20", []string{"-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"}, false, true},
		{"AES 128 CBC", []string{"-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"}, false, true},
		{"TLS 1.1", []string{"-tls1_1", "-cipher", "ALL:@SECLEVEL=0"}, false, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			if !row.want && row.lax {
				lab.NeedUnapproved(t, row.name)
			}
			for _, s := range []struct {
				url  string
				want bool
			}{{strict.URL, row.want}, {lax.URL, row.lax}} {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				args := append([]string{"s_client", "-connect", strings.TrimPrefix(s.url, "https://"), "-brief"}, row.flags...)
				out, err := exec.CommandContext(ctx, "openssl", args...).CombinedOutput()
				cancel()
				if got := strings.Contains(string(out), "CONNECTION ESTABLISHED"); got != s.want {
					t.Errorf("connected: got %t, want %t: %v\n%s", got, s.want, err, out)
				}
			}
		})
	}
	text, err := os.ReadFile("../../docs/fapi.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("tls_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(source)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "tls.TLS_") && !strings.Contains(string(text), line) {
			t.Errorf("the page has no line %q", line)
		}
	}
}
