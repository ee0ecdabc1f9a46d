package clientcert_test

import (
	"crypto/tls"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// The system's authorities count where they were asked for, and nowhere else: to crypto/x509 no roots at all mean them.
// They are read once per process, hence another one.
func TestSystemRoots(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only there can the system's authorities be chosen")
	}
	if pair := os.Getenv("POPAUTH_TEST_PAIR"); pair != "" {
		certificate, err := tls.LoadX509KeyPair(pair+".crt", pair+".key")
		if err != nil {
			t.Fatal(err)
		}
		r := (&popauthtest.Client{Certificate: certificate}).Request("GET", "/", "")
		required(t, clientcert.Verification{SystemRoots: true}, r).Passed(t)
		required(t, clientcert.Verification{SelfSigned: []string{popauthtest.SelfSigned(t, "x").Thumbprint()}}, r).Refused(t, 403, "")
		required(t, clientcert.Verification{Roots: popauthtest.NewCA(t).Pool()}, r).Refused(t, 403, "")
		return
	}
	dir := t.TempDir()
	root := popauthtest.NewCA(t)
	if err := os.WriteFile(filepath.Join(dir, "roots"), root.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := root.Client("client").WritePEM(dir); err != nil {
		t.Fatal(err)
	}
	again := exec.Command(os.Args[0], "-test.run=^TestSystemRoots$", "-test.count=1")
	again.Env = append(os.Environ(), "POPAUTH_TEST_PAIR="+filepath.Join(dir, "client"),
		"SSL_CERT_FILE="+filepath.Join(dir, "roots"), "SSL_CERT_DIR="+dir)
	if out, err := again.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
