package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"mvdan.cc/sh/v3/shell"

	"github.com/seed-171ab058/popauth/cmd/popauth/internal/testbed"
	"github.com/seed-171ab058/popauth/popauthtest"
)

var update = flag.Bool("update", false, "write what the commands print into docs/command.md")

// elsewhere are commands whose examples another test runs.
var elsewhere = []string{"probe"}

// session is a directory in which the page's examples are run, one after the other.
type session struct {
	*lab
	names *strings.Replacer // of the page's addresses to those of this run
	back  *strings.Replacer
}

func newSession(t *testing.T) *session {
	f := newField(t, testbed.Options{})
	l := newLab(t)
	l.issuer.URL = "https://id.example.com"
	l.owner = popauthtest.SelfSigned(t, "orders-batch")
	now := time.Now().Unix()
	wrong := l.bound(popauthtest.Claims{"iss": "https://id.example.com/", "aud": "account", "client_id": "orders-batch"})
	late := l.bound(popauthtest.Claims{"exp": now - 180, "iat": now - 480, "client_id": "orders-batch"})
	dpopToken := l.issuer.Token(l.key.Bound())
	proof := l.key.Proof("GET", "https://api.example.com/orders", dpopToken)
	entry, err := json.Marshal(map[string]any{"request": map[string]any{
		"method": "GET", "url": "https://api.example.com/orders/7", "headers": []any{
			map[string]string{"name": "authorization", "value": "DPoP " + dpopToken}, map[string]string{"name": "dpop", "value": proof},
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	const site = `server {
	listen 443 ssl;
	ssl_certificate /etc/tls/server.crt;
	ssl_certificate_key /etc/tls/server.key;
	ssl_verify_client optional_no_ca;
	proxy_set_header X-SSL-Client-Cert $ssl_client_escaped_cert;
	proxy_set_header X-SSL-Client-Verify $ssl_client_verify;
	proxy_next_upstream off;
	location /orders {
		proxy_set_header X-Proxy-Secret "0123456789abcdef";
		proxy_pass http://10.0.4.8:8080;
	}
}
`
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"keys.json": l.issuer.JWKS(), "client.crt": certificatePEM(l.owner), "token.txt": []byte(wrong), "late.txt": []byte(late),
		"request.har": entry, "site.conf": []byte(site), "secret": []byte("a secret of the proxy's"),
		"new.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
	} {
		l.file(name, content)
	}
	for _, name := range []string{"ca", "owner-cert", "owner-key", "client-secret", "dpop-key", "thief-cert", "thief-key"} {
		content, err := os.ReadFile(f.Files[name])
		if err != nil {
			t.Fatal(err)
		}
		l.file(filepath.Base(f.Files[name]), content)
	}
	pairs := []string{"https://127.0.0.1:35001", f.Issuer, "https://127.0.0.1:35002", f.API}
	back := slices.Clone(pairs)
	slices.Reverse(back)
	return &session{l, strings.NewReplacer(pairs...), strings.NewReplacer(back...)}
}

// varying is what differs from run to run, and how it is written to be compared.
var varying = []struct {
	is *regexp.Regexp
	as string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`), "TIME"},
	{regexp.MustCompile(`\b[A-Za-z0-9_-]{43}\b`), "THUMBPRINT"},
	{regexp.MustCompile(`[A-Za-z0-9_-]{42,43}"`), `THUMBPRINT"`},
	{regexp.MustCompile(`\b[0-9a-f]{40,64}\b`), "HEX"},
	{regexp.MustCompile(`\b[A-Z2-7]{26}\b`), "ID"},
	{regexp.MustCompile(`ES256-[A-Z2-7]{10}`), "KID"},
	{regexp.MustCompile(`(in )?\d+m?\d*s( ago)?`), "SPAN"},
	{regexp.MustCompile(`\(\d+ characters\)`), "(N characters)"},
	{regexp.MustCompile(`popauth-test-\d+`), "popauth-test-N"},
	{regexp.MustCompile(`THUMBPRINT +`), "THUMBPRINT "},
}

func settled(s string) string {
	for _, v := range varying {
		s = v.is.ReplaceAllString(s, v.as)
	}
	return s
}

var shown1 = regexp.MustCompile("(?s)```\n(\\$ popauth .*?)```\n")

// transcripts are the examples of one block: a command may go on after a backslash, and what it prints follows.
func (s *session) block(text string) string {
	var out strings.Builder
	lines := strings.SplitAfter(text, "\n")
	for i := 0; i < len(lines); i++ {
		if !strings.HasPrefix(lines[i], "$ ") {
			continue // as it was printed before
		}
		command := lines[i]
		for strings.HasSuffix(command, "\\\n") && i+1 < len(lines) {
			i++
			command += lines[i]
		}
		out.WriteString(command)
		out.WriteString(s.back.Replace(s.perform(s.names.Replace(strings.TrimPrefix(command, "$ ")))))
	}
	return out.String()
}

// perform runs a command, with its input and output in files, if the shell would have them there.
func (s *session) perform(command string) string {
	s.Helper()
	words, err := shell.Fields(strings.NewReplacer("<", " \\< ", ">", " \\> ").Replace(command), func(string) string { return "" })
	if err != nil || words[0] != "popauth" {
		s.Fatalf("%s: %v", command, err)
	}
	var in io.Reader = strings.NewReader("")
	var both bytes.Buffer
	var out io.Writer = &both
	args := words[1:]
	for len(args) > 2 && (args[len(args)-2] == "<" || args[len(args)-2] == ">") {
		name := args[len(args)-1]
		if args[len(args)-2] == "<" {
			content, err := os.ReadFile(name)
			if err != nil {
				s.Fatal(err)
			}
			in = bytes.NewReader(content)
		} else {
			f, err := os.Create(name)
			if err != nil {
				s.Fatal(err)
			}
			defer func() { _ = f.Close() }()
			out = f
		}
		args = args[:len(args)-2]
	}
	run(args, in, out, &both)
	return both.String()
}

// The page shows what the commands print, but for what differs from run to run.
func TestDocs(t *testing.T) {
	file, err := filepath.Abs(filepath.Join("..", "..", "docs", "command.md"))
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := newSession(t)
	t.Chdir(s.dir)
	changed := shown1.ReplaceAllStringFunc(string(page), func(block string) string {
		text := shown1.FindStringSubmatch(block)[1]
		if slices.Contains(elsewhere, strings.Fields(text)[2]) {
			return block
		}
		got := s.block(text)
		if settled(got) == settled(text) {
			return block
		}
		if !*update {
			t.Errorf("got\n%s\nwant\n%s\nafter a change that is meant: go test -run TestDocs -update", got, text)
		}
		return "```\n" + got + "```\n"
	})
	if *update {
		if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range commands(newRoot()) {
		if c.HasParent() && !c.Hidden && c.Name() != "version" && !strings.Contains(changed, "\n## `"+c.CommandPath()) {
			t.Errorf("%s: the page has no section for it", c.CommandPath())
		}
	}
}
