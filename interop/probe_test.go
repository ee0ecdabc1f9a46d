package interop_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

// What popauth probe finds in an API whose tokens oauth4webapi checks. The library leaves it to the program to remember proofs and to
// say what its name is, and this one does neither. The rest is how JavaScript reads: the first Authorization line counts, of two
// members of an object the last one, and base64 has more than one spelling. docs/command.md says what to do about each.
func TestProbeNode(t *testing.T) {
	ca, issuer := popauthtest.NewCA(t), popauthtest.NewIssuer(t, "ES256")
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := popclient.NewKey(private, "ES256")
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	server := ca.Server()
	der, err := x509.MarshalPKCS8PrivateKey(server.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	encoded := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	var url string
	run(t, "resource.mjs", object{
		"tls": object{
			"cert": encoded("CERTIFICATE", server.Certificate[0]), "key": encoded("PRIVATE KEY", der),
		},
		"issuer": issuer.URL, "keys": string(issuer.JWKS()), "audience": structured,
	}).read(&url)

	dir := t.TempDir()
	token := issuer.Token(popauthtest.Claims{"aud": structured, "cnf": object{"jkt": key.Thumbprint()}})
	for name, text := range map[string][]byte{"token": []byte(token), "key.pem": []byte(encoded("PRIVATE KEY", keyDER)), "ca.pem": ca.PEM()} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(dir, "popauth")
	if out, err := exec.Command("go", "build", "-C", "../cmd/popauth", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(program, "probe", url, "--token-file", filepath.Join(dir, "token"), "--dpop-key", filepath.Join(dir, "key.pem"),
		"--ca", filepath.Join(dir, "ca.pem"), "--rate", "500", "--format", "json").Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) && failed.ExitCode() != 1 {
		t.Fatalf("%v: %s", err, failed.Stderr)
	}
	var report struct {
		Results []struct{ Name, State, Detail string }
	}
	if bad := json.Unmarshal(out, &report); bad != nil {
		t.Fatalf("%v, %v\n%s", bad, err, out)
	}
	var found []string
	for _, r := range report.Results {
		switch r.State {
		case "found":
			found = append(found, r.Name)
			t.Logf("%s: %s", r.Name, r.Detail)
		case "unclear":
			t.Errorf("%s: unclear: %s", r.Name, r.Detail)
		}
	}
	want := []string{
		"authorization-twice", "token-malleable", "proof-claim-twice", "proof-host-header", "replay", "replay-later", "replay-at-once", "replay-respelled", "replay-query",
	}
	if !slices.Equal(found, want) {
		t.Errorf("got findings %q, want %q", found, want)
	}
	// Each of these is a lock that the library has.
	for _, name := range []string{"no-token", "dpop-as-bearer", "proof-other-key", "proof-alg-none", "proof-ath-other", "proof-path", "token-alg-none"} {
		if !slices.ContainsFunc(report.Results, func(r struct{ Name, State, Detail string }) bool { return r.Name == name && r.State == "passed" }) {
			t.Errorf("%s hasn't passed", name)
		}
	}
}
