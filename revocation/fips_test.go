package revocation_test

import (
	"crypto"
	"crypto/fips140"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/seed-171ab058/popauth/revocation"
)

// certIDHash is what an answer names the issuer by: with SHA-1, as most responders do, or with what FIPS 140-3 leaves.
func certIDHash() crypto.Hash {
	if fips140.Enforced() {
		return crypto.SHA256
	}
	return crypto.SHA1
}

// Where nothing may use SHA-1, a responder is asked by SHA-256, and OpenSSL's knows that. One that names the issuer by
// SHA-1 all the same says nothing, and no question panics.
func TestFIPS140Only(t *testing.T) {
	if !fips140.Enforced() {
		own := exec.Command(os.Args[0], "-test.run=^TestFIPS140Only$", "-test.v")
		own.Env = append(os.Environ(), "GODEBUG=fips140=only")
		out, err := own.CombinedOutput()
		if strings.Contains(string(out), "--- SKIP") {
			t.Skipf("%s", out)
		}
		if err != nil || !strings.Contains(string(out), "--- PASS: TestFIPS140Only") {
			t.Errorf("under GODEBUG=fips140=only: %v\n%s", err, out)
		}
		return
	}
	a := newAuthority(t, "P-256")
	var args string
	url := a.responder(&args)
	a.issue("good", "client", "P-256", url)
	a.issue("bad", "client", "P-256", url)
	a.revoke("bad", "keyCompromise")
	for name, line := range map[string]string{
		"the authority": "-rsigner int.pem -rkey int.key -nmin 60", "by key ID": "-rsigner int.pem -rkey int.key -resp_key_id -nmin 60",
	} {
		args = line
		for cert, want := range map[string]string{"good": "good", "bad": "revoked"} {
			if got := a.verdict(revocation.Options{OCSP: true}, cert, "int"); got != want {
				t.Errorf("%s, %s: got %s, want %s", name, cert, got, want)
			}
		}
	}
	chain := revoked(a.certificate("good"), a.certificate("int"))
	key, err := os.ReadFile(a.path("int.key"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(key)
	signer, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	fips140.WithoutEnforcement(func() {
		now := time.Now()
		old, err := ocsp.CreateResponse(chain[1], chain[1], ocsp.Response{
			SerialNumber: chain[0].SerialNumber, IssuerHash: crypto.SHA1, ThisUpdate: now, NextUpdate: now.Add(time.Hour),
		}, signer.(crypto.Signer))
		if err != nil {
			t.Fatal(err)
		}
		key = old
	})
	if _, err := revocation.ReadAnswer(key, chain, time.Now()); !contains(err, "fips140=only") {
		t.Errorf("an answer that names the issuer by SHA-1: got %v, want the setting named", err)
	}
	a.issue("good-crl", "client", "P-256", "http://127.0.0.1:1/")
	if got := a.verdict(revocation.Options{Files: []string{a.list("int")}}, "good-crl", "int"); got != "good" {
		t.Errorf("by a list: got %s, want good", got)
	}
}
