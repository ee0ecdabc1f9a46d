package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/cmd/popauth/internal/testbed"
	"github.com/seed-171ab058/popauth/internal/counterpart"
)

// curl runs the command that is printed. No secret is in it.
func (f *field) curl(args []string, want string) {
	f.Helper()
	counterpart.Need(f, "bash", "curl")
	status, out, errOut := f.run("", args...)
	if status != exitOK || tokenPattern.MatchString(out+errOut) || strings.Contains(out, "its password") {
		f.Fatalf("got %d, %s%s", status, out, errOut)
	}
	got, err := exec.Command("bash", "-c", "set -e\n"+out).CombinedOutput()
	if err != nil || !strings.Contains(string(got), want) {
		f.Errorf("%s: got %v, %s", out, err, got)
	}
}

// The printed curl commands run as they are.
func TestCurl(t *testing.T) {
	f := newField(t, testbed.Options{})
	f.file("body file.json", []byte(`{"a":"b"}`))
	odd := "it's \"$HOME\" `x` \\ \t\n|"
	for _, name := range everybody {
		base := append([]string{"call", f.API + "/a%20b?x='y'&z=$(id)", "--curl", f.path("it's a.conf")}, f.who(name)...)
		f.curl(base, `"path":"/a b","query":"x='y'\u0026z=$(id)"`)
		written := append(base, "--scope", "orders.write")
		quoted, err := json.Marshal(odd)
		if err != nil {
			t.Fatal(err)
		}
		f.curl(append(written, "-d", odd, "-X", "PUT"), `"body":`+string(quoted))
		f.curl(append(written, "-d", "@"+f.path("body file.json")), `{\"a\":\"b\"}`)
	}
	if info, err := os.Stat(f.path("it's a.conf")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: got %v, %v, want 0600", info, err)
	}
}

// A nonce of an answer goes into the next command.
func TestCurlNonce(t *testing.T) {
	f := newField(t, testbed.Options{Nonces: true})
	counterpart.Need(t, "bash", "curl")
	base := append([]string{"call", f.API, "--curl", f.path("conf")}, f.who("secret, bound to the key")...)
	_, out, _ := f.run("", base...)
	got, err := exec.Command("bash", "-c", strings.Replace(out, "\ncurl ", "\ncurl --include ", 1)).Output()
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(strings.ToLower(string(got)), "dpop-nonce: ")
	if at < 0 {
		t.Fatalf("got %s, want a nonce", got)
	}
	nonce, _, _ := strings.Cut(string(got)[at+len("dpop-nonce: "):], "\r\n")
	f.curl(append(base, "--nonce", nonce), "orders-batch")
}
