package popauth_test

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// The tests of the advisory files are named for an attack, and their subtests for published advisories about it.
// testdata/advisories/advisories.jsonl says which test holds which advisory, or why none does.

func TestAdvisoryIndex(t *testing.T) {
	data, err := os.ReadFile("testdata/advisories/advisories.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	tests, rows := testsOf(t), 0
	seen := map[string]bool{}
	for line := range bytes.Lines(data) {
		var row struct {
			IDs    []string `json:"ids"`
			Fault  string   `json:"fault"`
			Test   string   `json:"test"`
			WhyNot string   `json:"why_not"`
		}
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&row); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		rows++
		name, sub, _ := strings.Cut(row.Test, "/")
		switch {
		case row.Fault == "":
			t.Errorf("%v: no fault", row.IDs)
		case (row.Test == "") == (row.WhyNot == ""):
			t.Errorf("%v: needs a test or a reason", row.IDs)
		case row.Test != "" && tests[name] == nil:
			t.Errorf("%v: there is no %s", row.IDs, name)
		case sub != "" && !tests[name][sub]:
			t.Errorf("%v: %s has no subtest %q", row.IDs, name, sub)
		}
		for _, id := range row.IDs {
			if seen[id] {
				t.Errorf("%s: twice", id)
			}
			seen[id] = true
		}
	}
	if rows != 167 {
		t.Errorf("got %d rows, want 167", rows)
	}
}

// testsOf returns the tests of this folder, each with the string literals in it: among them are its subtests' names.
func testsOf(t *testing.T) map[string]map[string]bool {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]map[string]bool{}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || !strings.HasPrefix(fn.Name.Name, "Test") && !strings.HasPrefix(fn.Name.Name, "Fuzz") {
				continue
			}
			literals := map[string]bool{}
			ast.Inspect(fn, func(n ast.Node) bool {
				if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
					s, _ := strconv.Unquote(l.Value)
					literals[s] = true
				}
				return true
			})
			tests[fn.Name.Name] = literals
		}
	}
	return tests
}

// stages are all the ways of a Guard to wrap a handler.
func stages(g *popauth.Guard) []func(http.Handler) http.Handler {
	return []func(http.Handler) http.Handler{g.Authenticate, g.Confirm, g.Authorize(popauth.Scope("orders.read"))}
}

// forged holds that no stage of g lets a handler run for a token, that the reason is the one wanted, and that the
// answer has nothing of the token in it. The token comes with the certificate that it is bound to, so that nothing
// but its own fault can refuse it.
func (l *lab) forged(t *testing.T, g *popauth.Guard, token string, want popauth.Reason) {
	t.Helper()
	alike(t, g, l.owner.Request("GET", "/", token))
	_, err := g.Check(l.owner.Request("GET", "/", token))
	var e *popauth.Error
	if !errors.As(err, &e) {
		t.Errorf("VULNERABLE: Check lets pass %.100q", token)
		return
	}
	if e.Reason != want {
		t.Errorf("reason: got %v, want %v, for %.100q", err, want, token)
	}
	challenge := invalidToken
	if e.Status() == http.StatusBadRequest {
		challenge = invalidRequest
	}
	for i, stage := range stages(g) {
		o := send(stage, l.owner.Request("GET", "/", token))
		if o.ran {
			t.Errorf("VULNERABLE: stage %d lets pass %.100q", i, token)
		}
		o.refused(t, e.Status(), challenge)
		l.reflects(t, o, token)
	}
}

// reflects fails if the answer has a part of the token in it.
func (*lab) reflects(t *testing.T, o outcome, token string) {
	t.Helper()
	all := o.body
	for name, values := range o.header {
		all += name + strings.Join(values, "")
	}
	for _, part := range strings.Split(token, ".") {
		if len(part) > 8 && strings.Contains(all, part) {
			t.Errorf("VULNERABLE: the answer reflects %.60q", part)
		}
	}
}

// genuine is the positive control: the same Guard lets an honest token pass.
func (l *lab) genuine(t *testing.T, g *popauth.Guard, token string) {
	t.Helper()
	alike(t, g, l.owner.Request("GET", "/", token))
	for _, stage := range stages(g) {
		send(stage, l.owner.Request("GET", "/", token)).passed(t)
	}
	if _, err := g.Check(l.owner.Request("GET", "/", token)); err != nil {
		t.Errorf("got %v, want a pass", err)
	}
}

var b64 = base64.RawURLEncoding.EncodeToString

// claims are the payload of a token that nothing is wrong with, changed as given.
func (l *lab) claims(change ...popauthtest.Claims) []byte {
	l.Helper()
	return payloadOf(l.bound(change...))
}

func payloadOf(token string) []byte {
	payload, _ := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	return payload
}

// compact makes a token of header and payload with whatever sign returns.
func compact(header any, payload []byte, sign func(input string) []byte) string {
	h, ok := header.(string)
	if !ok {
		j, err := json.Marshal(header)
		if err != nil {
			panic(err)
		}
		h = string(j)
	}
	input := b64([]byte(h)) + "." + b64(payload)
	return input + "." + b64(sign(input))
}

// by signs with a method of golang-jwt.
func by(alg string, key any) func(string) []byte {
	return func(input string) []byte {
		s, err := jwt.GetSigningMethod(alg).Sign(input, key)
		if err != nil {
			panic(err)
		}
		return s
	}
}

func unsigned(string) []byte { return nil }

// published are the issuer's public keys with the text of their JWKs.
type published struct {
	kid, alg, text string
	key            crypto.PublicKey
}

func (l *lab) published() []published {
	l.Helper()
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(l.issuer.JWKS(), &set); err != nil {
		l.Fatal(err)
	}
	var all []published
	for _, raw := range set.Keys {
		var m jwkset.JWKMarshal
		if err := json.Unmarshal(raw, &m); err != nil {
			l.Fatal(err)
		}
		k, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
		if err != nil {
			l.Fatal(err)
		}
		all = append(all, published{m.KID, m.ALG.String(), string(raw), k.Key()})
	}
	return all
}

// jwk is the text of a public key's JWK, with more members.
func jwk(key crypto.PublicKey, more popauthtest.Claims) string {
	k, err := jwkset.NewJWKFromKey(key, jwkset.JWKOptions{})
	if err != nil {
		panic(err)
	}
	text, err := json.Marshal(k.Marshal())
	if err != nil {
		panic(err)
	}
	members := popauthtest.Claims{}
	if err := json.Unmarshal(text, &members); err != nil {
		panic(err)
	}
	maps.Copy(members, more)
	text, _ = json.Marshal(members)
	return string(text)
}

// over is a Guard of the lab's issuer with these keys instead of the published ones.
func (l *lab) over(jwks ...string) *popauth.Guard {
	l.Helper()
	return l.guard(withKeys(l, jwks...))
}

func withKeys(l *lab, jwks ...string) func(*popauth.Options) {
	l.Helper()
	keys, err := popauth.StaticKeys([]byte(`{"keys":[` + strings.Join(jwks, ",") + `]}`))
	if err != nil {
		l.Fatal(err)
	}
	return func(o *popauth.Options) { o.Keys = keys }
}

func onlyAlgorithms(names ...string) func(*popauth.Options) {
	return func(o *popauth.Options) { o.Algorithms = slices.Clone(names) }
}
