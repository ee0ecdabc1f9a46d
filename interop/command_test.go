package interop_test

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// The command popauth gets tokens of the provider, of every kind of client, and calls an API with them.
func TestCommand(t *testing.T) {
	p := newProvider(t)
	jwts, err := popauth.NewJWTVerifier(popauth.JWTOptions{Issuer: p.issuer, Audience: []string{structured}, Keys: p.keys()})
	if err != nil {
		t.Fatal(err)
	}
	a := p.api(popauth.Options{Verifier: popauth.JWTOr(jwts, p.introspection(introspection.Options{Remember: -1}))})
	dir := t.TempDir()
	program := filepath.Join(dir, "popauth")
	build := exec.Command("go", "build", "-C", filepath.Join("..", "cmd", "popauth"), "-o", program, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	der, err := x509.MarshalPKCS8PrivateKey(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ca, secret := file("ca.pem", p.ca.PEM()), file("secret", []byte(clientSecret))
	key := file("dpop.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	files := func(c *popauthtest.Client, more ...string) []string {
		own := filepath.Join(dir, c.Thumbprint())
		if err := os.MkdirAll(own, 0o700); err != nil {
			t.Fatal(err)
		}
		certFile, keyFile, err := c.WritePEM(own)
		if err != nil {
			t.Fatal(err)
		}
		return append([]string{"--cert", certFile, "--key", keyFile}, more...)
	}
	for _, test := range []struct {
		id   string
		with []string
		want bool
	}{
		{"by-dn", files(p.byDN), true},
		{"by-san", files(p.bySAN), true},
		{"self-signed", files(p.selfSigned), true},
		{"by-san-and-key", files(p.bySAN, "--dpop-key", key), true},
		{"by-key", []string{"--client-secret-file", secret, "--dpop-key", key}, true},
		{"by-dn", files(p.bySAN), false},
		{"by-key", []string{"--client-secret-file", key, "--dpop-key", key}, false},
		{"unbound", []string{"--client-secret-file", secret, "--dpop-key", key}, true},
	} {
		for _, resource := range []string{structured, opaque} {
			before := a.spy.Ran()
			args := append([]string{"call", a.URL + confirmed, "--issuer", p.issuer, "--client-id", test.id, "--ca", ca,
				"--scope", "orders.read", "--resource", resource}, test.with...)
			out, err := exec.Command(program, args...).CombinedOutput()
			if (err == nil) != test.want || a.spy.Ran() > before != test.want {
				t.Errorf("%s, %s: got %v, want a pass: %t\n%s", test.id, resource, err, test.want, out)
			}
		}
	}
}
