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

// probed is an API that popauth probe asks, and its owner.
type probed struct {
	*testing.T
	issuer *popauthtest.Issuer
	ca     *popauthtest.CA
	dir    string
	typ    string // of tokens
}

func (p *probed) token(audience string, bound popauthtest.Claims) string {
	p.Helper()
	token := p.issuer.TokenWith(popauthtest.Claims{"typ": p.typ}, bound, popauthtest.Claims{"aud": audience})
	return p.file("token", []byte(token))
}

func (p *probed) file(name string, text []byte) string {
	p.Helper()
	name = filepath.Join(p.dir, name)
	if err := os.WriteFile(name, text, 0o600); err != nil {
		p.Fatal(err)
	}
	return name
}

func encodedPEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func (p *probed) privateKey(key any) []byte {
	p.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		p.Fatal(err)
	}
	return encodedPEM("PRIVATE KEY", der)
}

// byKey are the flags of an owner with a key.
func (p *probed) byKey(audience string) []string {
	p.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.Fatal(err)
	}
	key, err := popclient.NewKey(private, "ES256")
	if err != nil {
		p.Fatal(err)
	}
	token := p.token(audience, popauthtest.Claims{"cnf": object{"jkt": key.Thumbprint()}})
	return []string{"--token-file", token, "--dpop-key", p.file("key.pem", p.privateKey(private))}
}

// byCertificate are the flags of an owner with a certificate.
func (p *probed) byCertificate(audience string) []string {
	p.Helper()
	owner, other := p.ca.Client("owner"), p.ca.Client("other")
	flags := []string{"--token-file", p.token(audience, owner.Bound())}
	for name, c := range map[string]*popauthtest.Client{"": owner, "other-": other} {
		flags = append(flags, "--"+name+"cert", p.file(name+"owner.pem", encodedPEM("CERTIFICATE", c.Certificate.Certificate[0])),
			"--"+name+"key", p.file(name+"owner.key", p.privateKey(c.Certificate.PrivateKey)))
	}
	return flags
}

// finds fails the test unless the program finds just this, decides about everything, and sees that these are refused.
func (p *probed) finds(url string, flags, want, refused []string) {
	p.Helper()
	program := filepath.Join(p.dir, "popauth")
	if out, err := exec.Command("go", "build", "-C", "../cmd/popauth", "-o", program, ".").CombinedOutput(); err != nil {
		p.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(program, append([]string{"probe", url, "--ca", p.file("ca.pem", p.ca.PEM()), "--rate", "500",
		"--format", "json"}, flags...)...).Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) && failed.ExitCode() != 1 && len(out) == 0 {
		p.Fatalf("%v: %s", err, failed.Stderr)
	}
	var report struct {
		Results []struct{ Name, State, Detail string }
	}
	if bad := json.Unmarshal(out, &report); bad != nil {
		p.Fatalf("%v, %v\n%s", bad, err, out)
	}
	var found []string
	for _, r := range report.Results {
		switch r.State {
		case "found":
			found = append(found, r.Name)
			p.Logf("%s: %s", r.Name, r.Detail)
		case "unclear":
			p.Errorf("%s: unclear: %s", r.Name, r.Detail)
		}
		if slices.Contains(refused, r.Name) && r.State != "passed" {
			p.Errorf("%s: got %s, want it passed", r.Name, r.State)
		}
	}
	if !slices.Equal(found, want) {
		p.Errorf("got findings %q, want %q", found, want)
	}
}

// What popauth probe finds in an API whose tokens oauth4webapi checks. The library leaves it to the program to remember proofs and to
// say what its name is, and this one does neither. The rest is how JavaScript reads: the first Authorization line counts, of two
// members of an object the last one, and base64 has more than one spelling. docs/command.md says what to do about each.
func TestProbeNode(t *testing.T) {
	p := &probed{T: t, issuer: popauthtest.NewIssuer(t, "ES256"), ca: popauthtest.NewCA(t), dir: t.TempDir(), typ: "at+jwt"}
	server := p.ca.Server()
	var url string
	run(t, "resource.mjs", object{
		"tls":    object{"cert": string(encodedPEM("CERTIFICATE", server.Certificate[0])), "key": string(p.privateKey(server.PrivateKey))},
		"issuer": p.issuer.URL, "keys": string(p.issuer.JWKS()), "audience": structured,
	}).read(&url)
	p.finds(url, p.byKey(structured), []string{
		"authorization-twice", "token-malleable", "proof-claim-twice", "proof-host-header", "replay", "replay-later", "replay-at-once",
		"replay-respelled", "replay-query",
	}, []string{"no-token", "dpop-as-bearer", "proof-other-key", "proof-alg-none", "proof-ath-other", "proof-path", "token-alg-none"})
}
