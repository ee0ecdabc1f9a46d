package oddcert_test

import (
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/internal/oddcert"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// Each is a certificate to OpenSSL.
func TestOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("no openssl, and CI is to have it: ", err)
		}
		t.Skip(err)
	}
	ca := popauthtest.NewCA(t)
	all, err := oddcert.Issue(ca.Certificate, ca.Key, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		path := filepath.Join(t.TempDir(), "leaf.pem")
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate.Certificate[0]})
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(openssl, "x509", "-in", path, "-noout", "-subject", "-pubkey").CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", c.Name, err, out)
		}
	}
}
