package popclient_test

import (
	"context"
	"crypto/fips140"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

// needPKCS12 skips a test that writes PKCS#12.
func needPKCS12(t *testing.T) {
	t.Helper()
	if fips140.Enforced() {
		t.Skip("GODEBUG=fips140=only forbids SHA-1, by which the encoder of PKCS#12 names a key")
	}
}

// A file that is protected by what FIPS 140-3 forbids is refused with what to do. It panics nowhere.
func TestPKCS12UnderFIPS140Only(t *testing.T) {
	const name, want = "POPAUTH_TEST_PKCS12", "CertificateFiles"
	if file := os.Getenv(name); file != "" {
		if !fips140.Enforced() {
			t.Fatal("GODEBUG=fips140=only is not in force")
		}
		_, err := popclient.CertificatePKCS12(file, "pass")(context.Background())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
		return
	}
	if fips140.Enforced() {
		t.Skip("a process without GODEBUG=fips140=only writes the file, and starts one with it")
	}
	owner := popauthtest.NewCA(t).Client("owner")
	for _, e := range []struct {
		name    string
		encoder *pkcs12.Encoder
	}{
		{"RC2", pkcs12.LegacyRC2}, {"Triple DES", pkcs12.LegacyDES},
	} {
		b, err := e.encoder.Encode(owner.Certificate.PrivateKey, owner.Certificate.Leaf, nil, "pass")
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "old.p12")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		own := exec.Command(os.Args[0], "-test.run=^TestPKCS12UnderFIPS140Only$", "-test.v")
		own.Env = append(os.Environ(), "GODEBUG=fips140=only", name+"="+file)
		if out, err := own.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
			t.Errorf("%s: %v\n%s", e.name, err, out)
		}
	}
}
