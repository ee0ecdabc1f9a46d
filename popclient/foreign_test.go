package popclient_test

import (
	"context"
	"crypto/tls"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/internal/counterpart"
	"github.com/seed-171ab058/popauth/popclient"
)

// foreign is a directory in which other programs write files.
type foreign struct {
	t   *testing.T
	dir string
}

func (f foreign) run(name string, args ...string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = f.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		f.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

func (f foreign) path(name string) string { return filepath.Join(f.dir, name) }

// load wants each of these texts in the error; without any, no error.
func (f foreign) load(source func(context.Context) (*tls.Certificate, error), want ...string) {
	f.t.Helper()
	_, err := source(f.t.Context())
	if len(want) == 0 && err != nil {
		f.t.Errorf("got %v, want none", err)
	}
	for _, text := range want {
		if err == nil || !strings.Contains(err.Error(), text) {
			f.t.Errorf("got %v, want %q in it", err, text)
		}
	}
}

// Files as other programs write them: what can't be read says how to write it anew, and that works.
func TestForeignFiles(t *testing.T) {
	counterpart.Need(t, "openssl", "keytool")
	f := foreign{t, t.TempDir()}
	// A Java keystore with two keys.
	for _, alias := range []string{"old", "new"} {
		f.run("keytool", "-genkeypair", "-keystore", "two.p12", "-storetype", "PKCS12", "-storepass", "secret1", "-alias", alias,
			"-keyalg", "EC", "-groupname", "secp256r1", "-dname", "CN="+alias, "-validity", "2")
	}
	f.load(popclient.CertificatePKCS12(f.path("two.p12"), "secret1"), "more than one private key",
		"keytool -importkeystore -srckeystore "+f.path("two.p12")+" -srcalias")
	f.run("keytool", "-importkeystore", "-srckeystore", "two.p12", "-srcalias", "new", "-destkeystore", "one.p12", "-deststoretype",
		"PKCS12",
		"-srcstorepass", "secret1", "-deststorepass", "secret1")
	f.load(popclient.CertificatePKCS12(f.path("one.p12"), "secret1"))

	// Keys that are encrypted, in both forms of PEM.
	f.run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "plain.key", "-out", "a.crt", "-subj", "/CN=job",
		"-days", "2")
	f.run("openssl", "pkcs8", "-topk8", "-in", "plain.key", "-out", "encrypted.key", "-passout", "pass:x")
	f.run("openssl", "rsa", "-in", "plain.key", "-out", "old.key", "-aes128", "-passout", "pass:x", "-traditional")
	for _, key := range []string{"encrypted.key", "old.key"} {
		f.load(popclient.CertificateFiles(f.path("a.crt"), f.path(key)), f.path(key)+": the private key is encrypted",
			"openssl pkey -in "+f.path(key))
		f.run("openssl", "pkey", "-in", key, "-out", "again.key", "-passin", "pass:x")
		f.load(popclient.CertificateFiles(f.path("a.crt"), f.path("again.key")))
	}
}

// NSS writes PKCS#12 in BER.
func TestNSSFile(t *testing.T) {
	needPKCS12(t)
	counterpart.Need(t, "openssl", "certutil", "pk12util")
	f := foreign{t, t.TempDir()}
	f.run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "plain.key", "-out", "a.crt", "-subj", "/CN=job",
		"-days", "2")
	f.run("openssl", "pkcs12", "-export", "-in", "a.crt", "-inkey", "plain.key", "-name", "job", "-out", "der.p12", "-passout", "pass:x")
	f.run("certutil", "-N", "-d", "sql:.", "--empty-password")
	f.run("pk12util", "-i", "der.p12", "-d", "sql:.", "-W", "x", "-K", "")
	f.run("pk12util", "-o", "nss.p12", "-n", "job", "-d", "sql:.", "-W", "x", "-K", "")
	f.load(popclient.CertificatePKCS12(f.path("nss.p12"), "x"), "not PKCS#12 in DER", "openssl pkcs12 -in "+f.path("nss.p12"))
	f.run("openssl", "pkcs12", "-in", "nss.p12", "-nodes", "-out", "all.pem", "-passin", "pass:x")
	f.run("openssl", "pkcs12", "-export", "-in", "all.pem", "-out", "new.p12", "-passout", "pass:x")
	f.load(popclient.CertificatePKCS12(f.path("new.p12"), "x"))
}
