package main

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/seed-171ab058/popauth/cmd/popauth/internal/testbed"
)

// field is an issuer and an API that are served for one test, and whoever calls them.
type field struct {
	*lab
	testbed.Description
}

func newField(t *testing.T, o testbed.Options) *field {
	t.Helper()
	bed, err := testbed.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bed.Close(); err != nil {
			t.Error(err)
		}
	})
	return &field{&lab{T: t, dir: t.TempDir()}, bed.Describe()}
}

// who are the flags of a client, by name.
func (f *field) who(name string) []string {
	base := []string{"--ca", f.Files["ca"], "--issuer", f.Issuer, "--client-id", f.ClientID}
	secret := append(slices.Clone(base), "--client-secret-file", f.Files["client-secret"])
	certificate := []string{"--cert", f.Files["owner-cert"], "--key", f.Files["owner-key"]}
	key := []string{"--dpop-key", f.Files["dpop-key"]}
	switch name {
	case "certificate":
		return append(base, certificate...)
	case "certificate, bound to the key":
		return append(append(base, certificate...), key...)
	case "secret, bound to the certificate":
		return append(secret, certificate...)
	case "secret, bound to the key":
		return append(secret, key...)
	case "secret in the form, bound to a JWK":
		return append(secret, "--auth", "client_secret_post", "--dpop-key", f.Files["dpop-jwk"])
	case "assertion, bound to a new key":
		return append(base, "--assertion-key", f.Files["assertion-key"], "--dpop")
	}
	f.Fatalf("no client %q", name)
	return nil
}

var everybody = []string{
	"certificate", "certificate, bound to the key", "secret, bound to the certificate", "secret, bound to the key",
	"secret in the form, bound to a JWK", "assertion, bound to a new key",
}

// fetch gets a token of a kind into a file.
func (f *field) fetch(kind string) string {
	f.Helper()
	ca, err := readAuthorities(f.Files["ca"])
	if err != nil {
		f.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca, MinVersion: tls.VersionTLS12}}}
	f.Cleanup(client.CloseIdleConnections)
	resp, err := client.Get(f.Tokens[kind])
	if err != nil {
		f.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var b strings.Builder
	if err := resp.Write(&b); err != nil {
		f.Fatal(err)
	}
	_, token, _ := strings.Cut(b.String(), "\r\n\r\n")
	f.file(kind, []byte(token))
	return f.path(kind)
}

// Every kind of client gets a token that is bound, and the API takes it from him.
func TestCall(t *testing.T) {
	for _, nonces := range []bool{false, true} {
		f := newField(t, testbed.Options{Nonces: nonces})
		for _, name := range everybody {
			status, out, errOut := f.run("", append([]string{"call", f.API + "/orders?page=2"}, f.who(name)...)...)
			if status != exitOK || !strings.Contains(out, `"client_id":"orders-batch"`) || !strings.Contains(out, `"query":"page=2"`) {
				t.Errorf("%s, nonces %v: got %d, %s%s", name, nonces, status, out, errOut)
			}
			if nonces && strings.Contains(name, "key") && !strings.Contains(errOut, "use_dpop_nonce") {
				t.Errorf("%s: got %s, want the answer that asks for a nonce in it", name, errOut)
			}
		}
		args := append([]string{"call", f.API, "--data", "@-", "--scope", "orders.write", "-H", "X-Request-Id: 7"},
			f.who("secret, bound to the key")...)
		if status, out, errOut := f.run(`{"n":1}`, args...); status != exitOK || !strings.Contains(out, `"body":"{\"n\":1}"`) ||
			!strings.Contains(out, `"method":"POST"`) {
			t.Errorf("with a body, nonces %v: got %d, %s%s", nonces, status, out, errOut)
		}
	}
}

// A token of a file is shown with what it is bound to, and what the API refuses is an error that says why.
func TestCallTokenFile(t *testing.T) {
	f := newField(t, testbed.Options{})
	certificate := []string{"--cert", f.Files["owner-cert"], "--key", f.Files["owner-key"]}
	thief := []string{"--cert", f.Files["thief-cert"], "--key", f.Files["thief-key"]}
	key := []string{"--dpop-key", f.Files["dpop-key"]}
	for _, tt := range []struct {
		kind   string
		shown  []string
		path   string
		status int
		says   string
	}{
		{"certificate", certificate, "/", exitOK, ""},
		{"certificate", thief, "/", exitRefused, "an API must refuse it"},
		{"certificate", nil, "/", exitRefused, "give --cert"},
		{"key", key, "/", exitOK, ""},
		{"key", certificate, "/", exitRefused, "give --dpop-key"},
		{"key", []string{"--dpop"}, "/", exitRefused, "an API must refuse it"},
		{"both", slices.Concat(key, certificate), "/", exitOK, ""},
		{"both", key, "/", exitRefused, "give --cert"},
		{"unbound", certificate, "/", exitRefused, "good in any hands"},
		{"unbound", nil, "/unbound/", exitOK, "good in any hands"},
		{"expired", certificate, "/", exitRefused, "The access token expired"},
		{"expired-key", key, "/", exitRefused, "The access token expired"},
		{"wrong-audience", certificate, "/", exitRefused, "invalid_token"},
		{"wrong-issuer", certificate, "/", exitRefused, "invalid_token"},
		{"wrong-certificate", certificate, "/", exitRefused, "an API must refuse it"},
		{"unknown-cnf", certificate, "/", exitRefused, "invalid_token"},
		{"unsigned", certificate, "/", exitRefused, "invalid_token"},
		{"no-scope", certificate, "/", exitRefused, "ask for the scope by --scope"},
	} {
		file := f.fetch(tt.kind)
		args := append([]string{"call", f.API + tt.path, "--ca", f.Files["ca"], "--token-file", file}, tt.shown...)
		status, out, errOut := f.run("", args...)
		if status != tt.status || !strings.Contains(errOut, tt.says) {
			t.Errorf("%s by %v: got %d, %s%s, want %d, %q", tt.kind, tt.shown, status, out, errOut, tt.status, tt.says)
		}
	}
}

// Nothing secret is printed, with -v neither, unless it is asked for.
func TestCallPrintsNoSecret(t *testing.T) {
	f := newField(t, testbed.Options{Nonces: true})
	secret, err := os.ReadFile(f.Files["client-secret"])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range everybody {
		for _, command := range [][]string{{"token"}, {"call", f.API}} {
			args := append(append(command, "-v"), f.who(name)...)
			_, out, errOut := f.run("", args...)
			if tokens := tokenPattern.FindAllString(out+errOut, -1); len(tokens) > 0 || strings.Contains(out+errOut, string(secret)) {
				t.Errorf("%s, %s: printed %q: %s%s", command[0], name, tokens, out, errOut)
			}
			if !strings.Contains(errOut, "> POST ") || !strings.Contains(errOut, "< 200 OK") {
				t.Errorf("%s, %s: got %s, want the exchange", command[0], name, errOut)
			}
			_, out, errOut = f.run("", append(args, "--show-secrets")...)
			if tokenPattern.FindString(errOut) == "" {
				t.Errorf("%s, %s, --show-secrets: got %s%s, want a token in it", command[0], name, out, errOut)
			}
		}
	}
	// The API sends the token back.
	file := f.fetch("key")
	token, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"call", f.API + "/?token=" + string(token), "--ca", f.Files["ca"], "--token-file", file, "--dpop-key",
		f.Files["dpop-key"]}
	if status, out, errOut := f.run("", args...); status != exitOK || strings.Contains(out+errOut, string(token)) {
		t.Errorf("token sent back: got %d, %s%s", status, out, errOut)
	}
}

func TestToken(t *testing.T) {
	f := newField(t, testbed.Options{})
	file := f.path("token")
	args := append([]string{"token", "--resource", f.Audience, "--scope", "orders.read,orders.write"}, f.who("secret, bound to the key")...)
	status, out, errOut := f.run("", append(args, "--out", file)...)
	if status != exitOK || !strings.Contains(out, `{"jkt":"`+f.JKT+`"}`) || !strings.Contains(out, "orders.read orders.write") {
		t.Errorf("got %d, %s%s", status, out, errOut)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the token's file: got %v, %v, want 0600", info.Mode(), err)
	}
	if status, out, errOut = f.run("", append(args, "--show-secrets")...); status != exitOK || !isToken([]byte(out)) ||
		strings.Count(out, "\n") != 1 {
		t.Errorf("--show-secrets: got %d, %s%s, want the token alone", status, out, errOut)
	}
	for _, tt := range []struct {
		name string
		args []string
		says []string
	}{
		{"nothing", nil, []string{"--issuer or --token-endpoint", "give --client-id", "give --cert, --dpop-key or --dpop"}},
		{"not authenticated", []string{"--issuer", f.Issuer, "--client-id", "x", "--dpop"}, []string{"how the client authenticates"}},
		{"no such file", []string{"--dpop-key", f.path("none")}, []string{"--dpop-key", f.path("none")}},
		{"a certificate as key", []string{"--dpop-key", f.Files["ca"]}, []string{f.Files["ca"], "no private key", "openssl genpkey"}},
		{"key without certificate", []string{"--key", f.Files["owner-key"]}, []string{"which --cert names"}},
		{"both keys", []string{"--dpop", "--dpop-key", f.Files["dpop-key"]}, []string{"give one of them"}},
		{"no secret", []string{"--auth", "client_secret_post"}, []string{secretVariable}},
		{"no such method", []string{"--auth", "magic"}, []string{"want tls_client_auth, client_secret_basic"}},
		{"wrong secret", append(f.who("secret, bound to the key"), "--client-secret-file", f.Files["ca"]), []string{"401",
			"invalid_client"}},
		{"resource elsewhere", append(f.who("secret, bound to the key"), "--resource", "https://b.example"), []string{"invalid_target"}},
		{"another authority", append(f.who("certificate"), "--ca", f.Files["thief-cert"]), []string{"certificate"}},
		{"plain http, by certificate", append(f.who("certificate")[2:], "--issuer", "http://id.example.com", "--resource", "x",
			"--param", "scope=a"), []string{"--issuer: ", "--resource: ", "--param: "}},
		{"plain http", []string{"--token-endpoint", "http://id.example.com/token", "--client-id", "x", "--dpop", "--client-secret-file",
			f.Files["client-secret"]}, []string{"--token-endpoint", "http"}},
	} {
		status, out, errOut := f.run("", append([]string{"token"}, tt.args...)...)
		if status != exitUsage || out != "" {
			t.Errorf("%s: got %d, %s%s, want %d", tt.name, status, out, errOut, exitUsage)
		}
		for _, want := range tt.says {
			if !strings.Contains(errOut, want) {
				t.Errorf("%s: got %s, want %q in it", tt.name, errOut, want)
			}
		}
	}
}

// What can't be sent is refused before anybody is asked for anything.
func TestCallRefusesBeforehand(t *testing.T) {
	f := newField(t, testbed.Options{})
	for name, args := range map[string][]string{
		"plain http":       {"http://api.example.com/"},
		"userinfo":         {"https://me:secret@api.example.com/"},
		"no URL":           {"orders"},
		"own token":        {f.API, "-H", "Authorization: Bearer x"},
		"header injection": {f.API, "-H", "X: a\r\nY: b"},
		"no header":        {f.API, "-H", "X"},
		"method":           {f.API, "-X", "GE T"},
		"nonce":            {f.API, "--nonce", "x"},
		"no such data":     {f.API, "-d", "@" + f.path("none")},
	} {
		status, out, errOut := f.run("", append(append([]string{"call"}, args...), f.who("secret, bound to the key")...)...)
		if status != exitUsage || strings.Contains(errOut, f.Issuer) || strings.Contains(errOut, "secret@") {
			t.Errorf("%s: got %d, %s%s", name, status, out, errOut)
		}
	}
}

// PKCS#12 serves as well, its password in the environment.
func TestCallPKCS12(t *testing.T) {
	f := newField(t, testbed.Options{})
	c, err := tls.LoadX509KeyPair(f.Files["owner-cert"], f.Files["owner-key"])
	if err != nil {
		t.Fatal(err)
	}
	p12, err := pkcs12.Modern.Encode(c.PrivateKey, c.Leaf, nil, "its password")
	if err != nil {
		t.Fatal(err)
	}
	f.file("owner.p12", p12)
	args := []string{"call", f.API, "--ca", f.Files["ca"], "--issuer", f.Issuer, "--client-id", f.ClientID, "--cert", f.path("owner.p12")}
	if status, _, errOut := f.run("", args...); status != exitUsage || !strings.Contains(errOut, "--cert") {
		t.Errorf("without password: got %d, %s", status, errOut)
	}
	t.Setenv(passwordVariable, "its password")
	if status, out, errOut := f.run("", args...); status != exitOK {
		t.Errorf("got %d, %s%s", status, out, errOut)
	}
	f.curl(append(args, "--curl", f.path("p12.conf")), "orders-batch")
}

// A file is whole or as it was, and nobody else may read it.
func TestWritePrivate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writePrivate(file, pem.EncodeToMemory(&pem.Block{Type: "X"})); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v, want 0600", info, err)
	}
	if err := writePrivate(filepath.Join(t.TempDir(), "none", "token"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such directory: got %v", err)
	}
}
