package issuers_test

import (
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// sources is the code of this directory, each line without its indentation.
func sources(t *testing.T) string {
	t.Helper()
	names, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return unindented(all.String())
}

func unindented(code string) string {
	lines := strings.Split(code, "\n")
	for i := range lines {
		lines[i] = strings.TrimLeft(lines[i], "\t")
	}
	return strings.Join(lines, "\n")
}

// Every entry has its section, in order, with its code; and there is no other code on the page but what stands here.
func TestPage(t *testing.T) {
	text, err := os.ReadFile("../../docs/issuers.md")
	if err != nil {
		t.Fatal(err)
	}
	code := sources(t)
	var titles []string
	for _, section := range strings.Split(string(text), "\n## ")[1:] {
		title, _, _ := strings.Cut(section, "\n")
		from := code
		if _, after, ok := strings.Cut(code, `{title: "`+title+`",`); ok {
			from, _, _ = strings.Cut(after, "{title: ")
			titles = append(titles, title)
			if !says(section) {
				t.Errorf("%s: doesn't say how it was checked", title)
			}
		}
		for _, block := range strings.Split(section, "```go\n")[1:] {
			block, _, _ := strings.Cut(block, "\n```")
			block = unindented(block)
			of := code
			if strings.HasPrefix(block, "popauth.Options{") || strings.HasPrefix(block, "popauth.RemoteKeysOptions{") {
				of = from // this issuer's, not another's
			}
			if !strings.Contains(of, block) {
				t.Errorf("%s: this isn't what the tests construct:\n%s", title, block)
			}
		}
	}
	want := entries()
	for i, title := range titles {
		if i >= len(want) || want[i].title != title {
			t.Errorf("section %d: got %q, want the order of entries", i, title)
			break
		}
	}
	if len(titles) != len(want) {
		t.Errorf("got %d sections with code of %d entries", len(titles), len(want))
	}
}

// says tells whether a section says how it was checked.
func says(section string) bool {
	for _, word := range []string{"*Run", "*Read", "*Known", "*Source read", "*The\n  library run", "*Binding read",
		"read; shapes known.*"} {
		if strings.Contains(section, word) {
			return true
		}
	}
	return false
}

// Everything that the table links to is there.
func TestPageLinks(t *testing.T) {
	text, err := os.ReadFile("../../docs/issuers.md")
	if err != nil {
		t.Fatal(err)
	}
	anchors := map[string]bool{}
	for _, line := range strings.Split(string(text), "\n") {
		if level, title, ok := strings.Cut(line, " "); ok && (level == "##" || level == "###") {
			anchors[anchor(title)] = true
		}
	}
	for _, link := range strings.Split(string(text), "](#")[1:] {
		if name, _, _ := strings.Cut(link, ")"); !anchors[name] {
			t.Errorf("no section for #%s", name)
		}
	}
}

// anchor is GitHub's name for a heading.
func anchor(title string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_':
			return r
		}
		return -1
	}, strings.ToLower(title))
}

// mtlsPoP confirms certificate-bound tokens under Entra's own scheme.
type mtlsPoP struct{ popauth.MutualTLS }

// Challenge implements popauth.SchemeConfirmer.
func (mtlsPoP) Challenge() (string, []popauth.Param) { return "mtls_pop", nil }

// Entra's scheme asks for the certificate, too.
func TestEntraScheme(t *testing.T) {
	l := lab.New(t, "ES256")
	g := l.Guard(func(o *popauth.Options) { o.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, mtlsPoP{}} })
	for _, tt := range []struct {
		name, scheme, token string
		by                  *popauthtest.Client
		want                int
	}{
		{name: "owner", scheme: "mtls_pop", token: l.Bound(), by: l.Owner, want: http.StatusOK},
		{name: "owner as Bearer", scheme: "Bearer", token: l.Bound(), by: l.Owner, want: http.StatusOK},
		{name: "thief", scheme: "mtls_pop", token: l.Bound(), by: l.Thief, want: http.StatusUnauthorized},
		{name: "unbound", scheme: "mtls_pop", token: l.Unbound(), by: l.Owner, want: http.StatusUnauthorized},
	} {
		r := tt.by.Request("GET", "https://api.example.com/orders", tt.token)
		r.Header.Set("Authorization", tt.scheme+" "+tt.token)
		if got := lab.Send(g.Confirm, r); got.Status != tt.want || got.Ran != (tt.want == http.StatusOK) {
			t.Errorf("%s: got %d, ran %t, want %d", tt.name, got.Status, got.Ran, tt.want)
		}
	}
}

// The options for JWT-SVIDs, as the page has them, take those of workloads of the trust domain and nothing else that is known.
func TestSVIDOptions(t *testing.T) {
	i := popauthtest.NewIssuer(t, "ES256")
	o := popauth.JWTOptions{
		Issuer:     "spiffe://example.org",
		Audience:   []string{"https://api.example.com"},
		TokenTypes: []string{"JWT", "JOSE", ""},
		JWTSVIDs:   true,
	}
	if _, err := popauth.NewJWTVerifier(o); err == nil {
		t.Error("without Keys: no error, though there is no metadata to find them by")
	}
	o.Keys = own(t, i).Keys
	v, err := popauth.NewJWTVerifier(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range readAll(t) {
		for _, s := range append(from.Others, from.Access...) {
			for _, iss := range []any{popauthtest.Omit, o.Issuer} {
				d := decide(t, popauth.Options{Verifier: v}, s.sign(i, s.typ(), popauthtest.Claims{"iss": iss, "aud": o.Audience[0]}))
				if d.as != nil && (from.name != "spire" || iss != popauthtest.Omit) {
					t.Errorf("%s of %s passes as a JWT-SVID", s.Name, from.name)
				}
			}
		}
	}
	for _, s := range read(t, "spire").Unfit {
		if d := decide(t, popauth.Options{Verifier: v}, s.sign(i, s.typ(), popauthtest.Claims{"aud": o.Audience[0]})); d.as == nil {
			t.Errorf("%s: %s", s.Name, d.text)
		}
	}
}

// A private authority is spelt alike for keys and for introspection, signed answers and discovery included; another one's issuer
// is not believed, nor is anybody's without it.
func TestPrivateAuthority(t *testing.T) {
	i := popauthtest.NewIssuer(t, "ES256")
	roots, others := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(i.Server.Certificate())
	others.AddCert(popauthtest.SelfSigned(t, "other").Certificate.Leaf)
	for name, pool := range map[string]*x509.CertPool{"with": roots, "another": others, "without": nil} {
		keys, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{Issuer: i.URL, RootCAs: pool})
		if err != nil {
			t.Fatal(err)
		}
		o := own(t, i)
		o.Keys, o.TokenTypes = keys, nil
		asked := lab.IntrospectionOptions(i)
		asked.Client, asked.RootCAs, asked.Endpoint = nil, pool, ""
		v, err := introspection.New(asked)
		if err != nil {
			t.Fatal(err)
		}
		for way, d := range map[string]decided{
			"keys":          decide(t, o, i.Token(popauthtest.Claims{"scope": "orders.read"})),
			"introspection": decide(t, popauth.Options{Verifier: v}, i.Opaque(popauthtest.Claims{"scope": "orders.read"})),
		} {
			if (d.as != nil) != (name == "with") || d.as == nil && d.reason != popauth.ErrUnavailable {
				t.Errorf("%s, %s the authority: passed %t (%s)", way, name, d.as != nil, d.text)
			}
		}
	}
}

// Two places that could disagree about the authority are an error.
func TestPrivateAuthorityTwice(t *testing.T) {
	i := popauthtest.NewIssuer(t, "ES256")
	_, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{Issuer: i.URL, RootCAs: x509.NewCertPool(), Client: i.Client()})
	asked := lab.IntrospectionOptions(i)
	asked.Client, asked.RootCAs = i.Client(), x509.NewCertPool()
	_, other := introspection.New(asked)
	for _, err := range []error{err, other} {
		if err == nil || !strings.Contains(err.Error(), "RootCAs") {
			t.Errorf("got %v, want a problem of RootCAs", err)
		}
	}
}
