package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
)

// start runs the program as its flags say, and returns what it prints.
func start(t *testing.T, s settings) (addresses, *bufio.Scanner, func() error) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	in, out := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, s, out)
		_ = out.Close()
	}()
	lines := bufio.NewScanner(in)
	if !lines.Scan() {
		t.Fatalf("printed nothing: %v", <-done)
	}
	var a addresses
	if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
		t.Fatalf("%v: %s", err, lines.Bytes())
	}
	return a, lines, func() error {
		stop()
		go func() { _, _ = io.Copy(io.Discard, in) }()
		return <-done
	}
}

// The commands that it prints are run as they stand, with the sample file.
func TestRun(t *testing.T) {
	a, lines, stop := start(t, settings{listen: "127.0.0.1:0", mtls: "127.0.0.1:0", clients: "clients.json", lifetime: time.Minute})
	ran := 0
	for ran < 2 && lines.Scan() {
		if !strings.HasPrefix(lines.Text(), "curl ") {
			continue
		}
		ran++
		for _, program := range []string{"bash", "curl"} {
			if _, err := exec.LookPath(program); err != nil {
				if os.Getenv("CI") == "true" {
					t.Fatal(err)
				}
				t.Skip(err)
			}
		}
		got, err := exec.Command("bash", "-c", lines.Text()+" -sS").CombinedOutput()
		if err != nil || !strings.Contains(string(got), `"token_type":"Bearer"`) {
			t.Errorf("%s\n%v\n%s", lines.Text(), err, got)
		}
	}
	if err := stop(); err != nil || ran != 2 {
		t.Errorf("got %v after %d commands", err, ran)
	}
	if _, err := os.Stat(a.Certificates); !os.IsNotExist(err) {
		t.Errorf("%s is left behind: %v", a.Certificates, err)
	}
}

func TestRunWithFiles(t *testing.T) {
	dir := t.TempDir()
	ca := popauthtest.NewCA(t)
	cert, key, err := (&popauthtest.Client{Certificate: ca.Server()}).WritePEM(dir)
	if err != nil {
		t.Fatal(err)
	}
	authorities, signing := filepath.Join(dir, "ca.crt"), filepath.Join(dir, "signing.key")
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string][]byte{
		authorities: ca.PEM(), signing: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
	} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := settings{
		listen: "127.0.0.1:0", mtls: "/mtls", clients: "clients.json", lifetime: time.Minute,
		cert: cert, key: key, clientCA: authorities, signingKey: signing,
	}
	a, _, stop := start(t, s)
	if a.MTLSToken != a.Issuer+"/mtls/token" || a.CA != "" {
		t.Errorf("got %+v", a)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*settings){
		"certificate without key":       func(s *settings) { s.key = "" },
		"throw-away ones as well":       func(s *settings) { s.certificates = dir },
		"no such certificate":           func(s *settings) { s.cert = "missing" },
		"authorities that are none":     func(s *settings) { s.clientCA = signing },
		"signing key that is none":      func(s *settings) { s.signingKey = authorities },
		"no lifetime":                   func(s *settings) { s.lifetime = 0 },
		"no such clients":               func(s *settings) { s.clients = "missing" },
		"clients that are none":         func(s *settings) { s.clients = signing },
		"issuer without TLS":            func(s *settings) { s.issuer = "http://127.0.0.1" },
		"issuer with a path":            func(s *settings) { s.issuer = "https://127.0.0.1/x" },
		"an address that is none":       func(s *settings) { s.listen = "nowhere" },
		"another address that is none":  func(s *settings) { s.mtls = "nowhere" },
		"a prefix below no token path":  func(s *settings) { s.mtls = "/connect/mtls" },
		"a prefix that needs escaping":  func(s *settings) { s.mtls = "/m tls" },
		"a certificate that is its key": func(s *settings) { s.cert = signing },
	} {
		bad := s
		change(&bad)
		if err := run(t.Context(), bad, io.Discard); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

func TestClientsFile(t *testing.T) {
	const good = `"scope": "a", "resources": ["https://a.example"]`
	dir := t.TempDir()
	for name, text := range map[string]string{
		"no object":      `[]`,
		"unknown member": `{"a": {"secrets": [{"sha256": "` + digest("a") + `", "expire": "2027-01-01T00:00:00Z"}], ` + good + `}}`,
		"client twice": `{"a": {"secrets": [{"sha256": "` + digest("a") + `"}], ` + good + `}, "a": {"secrets": [{"sha256": "` +
			digest("b") + `"}], ` + good + `}}`,
		"null":         `{"a": null}`,
		"no client_id": `{"": {"secrets": [{"sha256": "` + digest("a") + `"}], ` + good + `}}`,
		"neither":      `{"a": {` + good + `}}`,
		"both": `{"a": {"credentials": [{"credential": "san_dns=a"}], "secrets": [{"sha256": "` + digest("a") +
			`"}], ` + good + `}}`,
		"empty secret":       `{"a": {"secrets": [{"sha256": ""}], ` + good + `}}`,
		"no hash":            `{"a": {"secrets": [{"sha256": "secret"}], ` + good + `}}`,
		"no credential":      `{"a": {"credentials": [{}], ` + good + `}}`,
		"unknown credential": `{"a": {"credentials": [{"credential": "cn=a"}], ` + good + `}}`,
		"no scope":           `{"a": {"credentials": [{"credential": "san_dns=a"}], "scope": " ", "resources": ["https://a.example"]}}`,
		"no resource":        `{"a": {"credentials": [{"credential": "san_dns=a"}], "scope": "a"}}`,
		"negative seconds":   `{"a": {"credentials": [{"credential": "san_dns=a"}], "access_token_seconds": -1, ` + good + `}}`,
		"days":               `{"a": {"credentials": [{"credential": "san_dns=a"}], "access_token_seconds": 86401, ` + good + `}}`,
		"resource with fragment": `{"a": {"credentials": [{"credential": "san_dns=a"}], "scope": "a", "resources": ` +
			`["https://a.example#x"]}}`,
	} {
		file := filepath.Join(dir, "clients.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if c, err := readClients(file); err == nil {
			t.Errorf("%s: got %v, want an error", name, c)
		}
	}
}
