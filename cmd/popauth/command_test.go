package main

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
)

// lab has an issuer, an owner and a thief, and their files.
type lab struct {
	*testing.T
	issuer       *popauthtest.Issuer
	owner, thief *popauthtest.Client
	key          *popauthtest.ProofKey
	dir          string
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{T: t, issuer: popauthtest.NewIssuer(t), owner: popauthtest.SelfSigned(t, "owner"), thief: popauthtest.SelfSigned(t, "thief"),
		key: popauthtest.NewProofKey(t, "ES256"), dir: t.TempDir()}
	l.file("keys.json", l.issuer.JWKS())
	l.file("owner.pem", certificatePEM(l.owner))
	l.file("thief.pem", certificatePEM(l.thief))
	l.file("ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: l.issuer.Server.Certificate().Raw}))
	return l
}

func certificatePEM(c *popauthtest.Client) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate.Certificate[0]})
}

func (l *lab) path(name string) string { return filepath.Join(l.dir, name) }

func (l *lab) file(name string, content []byte) {
	l.Helper()
	if err := os.WriteFile(l.path(name), content, 0o600); err != nil {
		l.Fatal(err)
	}
}

// run runs the program with input, and returns what it prints.
func (l *lab) run(input string, args ...string) (status int, out, errOut string) {
	l.Helper()
	var stdout, stderr bytes.Buffer
	status = run(args, strings.NewReader(input), &stdout, &stderr)
	return status, stdout.String(), stderr.String()
}

func (l *lab) explain(token string, more ...string) (int, string, string) {
	l.Helper()
	return l.run(token, append([]string{"explain", "--issuer", l.issuer.URL, "--audience", popauthtest.Audience, "--jwks",
		l.path("keys.json"),
		"--cert", l.path("owner.pem"), "-"}, more...)...)
}

func (l *lab) bound(claims ...popauthtest.Claims) string {
	l.Helper()
	return l.issuer.Token(append([]popauthtest.Claims{l.owner.Bound(), {"scope": "orders.read"}}, claims...)...)
}

func TestThumbprint(t *testing.T) {
	l := newLab(t)
	l.file("both.pem", append(certificatePEM(l.owner), certificatePEM(l.thief)...))
	for _, name := range []string{"owner.pem", "both.pem"} {
		status, out, errOut := l.run("", "thumbprint", l.path(name))
		if status != exitOK || !strings.Contains(out, "x5t#S256     "+l.owner.Thumbprint()+"\n") || !strings.Contains(out, "not for cnf") {
			t.Errorf("%s: got %d, %s%s", name, status, out, errOut)
		}
	}
	if _, out, _ := l.run(string(l.owner.Certificate.Certificate[0]), "thumbprint", "-"); !strings.Contains(out, l.owner.Thumbprint()) {
		t.Errorf("DER: got %s", out)
	}
	if _, out, errOut := l.run("", "thumbprint", l.issuer.URL); !strings.Contains(out, "x5t#S256") {
		t.Errorf("of a server: got %s%s", out, errOut)
	}
	// The example of RFC 7638, section 3.1.
	const rfc7638 = `{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebW` +
		`KRXjBZCiFV4n3oknjhMs` +
		`tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbO` +
		`pbISD08q` +
		`NLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB"}`
	if _, out, errOut := l.run(rfc7638, "thumbprint", "-"); !strings.Contains(out, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs") {
		t.Errorf("JWK: got %s%s", out, errOut)
	}
	if status, _, errOut := l.run("nothing", "thumbprint", "-"); status != exitUsage ||
		!strings.Contains(errOut, "want PEM, DER, PKCS#12 or a JWK") {
		t.Errorf("neither: got %d, %s", status, errOut)
	}
}

func TestInspect(t *testing.T) {
	l := newLab(t)
	metadata, err := json.Marshal(map[string]any{"issuer": l.issuer.URL, "jwks_uri": l.issuer.JWKSURL()})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, input string
		says        []string
	}{
		{"token", l.bound(), []string{"JWT", "nothing was verified", l.owner.Thumbprint(), "exp", ", in "}},
		{"expired", l.bound(popauthtest.Claims{"exp": time.Now().Unix() - 180}), []string{"odd", "expired 3m"}},
		{"bearer", l.issuer.Token(), []string{"no cnf: a bearer token"}},
		{"HMAC", l.issuer.TokenWith(popauthtest.Claims{"alg": "HS256"}), []string{"whoever can verify it can make it"}},
		{"claim twice", l.issuer.Sign([]byte(`{"alg":"ES256"}`), []byte(`{"iss":"a","iss":"b"}`), "ES256"), []string{"read strictly"}},
		{"proof", l.key.Request("GET", "https://api.example.com/orders", "x").Header.Get("DPoP"),
			[]string{"DPoP proof", "jkt " + jkt(l.key), "htu", "https://api.example.com/orders"}},
		{"JWK Set", string(l.issuer.JWKS()), []string{"JWK Set", "verifies tokens"}},
		{"secret", `{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"a"}]}`, []string{"verifies no token"}},
		{"metadata", string(metadata), []string{"jwks_uri", l.issuer.JWKSURL(), "says of no way to bind tokens"}},
		{"certificate", string(certificatePEM(l.owner)), []string{"x5t#S256", l.owner.Thumbprint()}},
	} {
		status, out, errOut := l.run(tt.input, "inspect", "-")
		if status != exitOK {
			t.Errorf("%s: got %d, %s", tt.name, status, errOut)
		}
		for _, want := range tt.says {
			if !strings.Contains(out, want) {
				t.Errorf("%s: got %s, want %q in it", tt.name, out, want)
			}
		}
	}
	if status, _, errOut := l.run("opaque-token", "inspect", "-"); status != exitUsage || !strings.Contains(errOut, "opaque token") {
		t.Errorf("opaque: got %d, %s", status, errOut)
	}
	if _, out, _ := l.run(l.issuer.Token(popauthtest.Claims{"sub": "a\nfake  line\x1b[31m"}), "inspect", "-"); strings.ContainsAny(out,
		"\x1b") ||
		strings.Contains(out, "\nfake") {
		t.Errorf("hostile claim: got %q", out)
	}
}

func jkt(key *popauthtest.ProofKey) string {
	cnf, _ := key.Bound()["cnf"].(popauthtest.Claims)
	s, _ := cnf["jkt"].(string)
	return s
}

// explain gives the Guard's own reason, and says what would come next.
func TestExplain(t *testing.T) {
	l := newLab(t)
	proof := func(url string) string {
		return l.key.Request("GET", url, l.issuer.Token()).Header.Get("DPoP")
	}
	dpopToken := l.issuer.Token(l.key.Bound())
	fit := l.key.Request("GET", "https://api.example.com/orders", dpopToken).Header.Get("DPoP")
	const orders = "https://api.example.com/orders"
	for _, tt := range []struct {
		name, token string
		args        []string
		status      int
		says        []string // of both outputs
	}{
		{name: "owner", token: l.bound(), says: []string{"✓  signature", "-  key of the proof: cnf has no jkt", "passes"}},
		{name: "thief", token: l.bound(), args: []string{"--cert", l.path("thief.pem")}, status: exitRefused,
			says: []string{"✓  time", "✗  certificate: token bound to another certificate", l.thief.Thumbprint(), l.owner.Thumbprint(),
				"refused: certificate_mismatch, status 401"}},
		{name: "no certificate", token: l.bound(), args: []string{"--cert", ""}, status: exitRefused,
			says: []string{"refused: certificate_missing"}},
		{name: "three faults", token: l.bound(popauthtest.Claims{"iss": l.issuer.URL + "/", "aud": "b", "exp": time.Now().Unix() - 600}),
			status: exitRefused,
			says: []string{"✗  issuer: token from another issuer", "only the slash", "✗  audience, next: ", `got "b"`,
				"✗  time, next: token expired", "✓  certificate", "refused: token_issuer"}},
		{name: "forged", token: forgedToken(l.bound()), args: []string{"--scope", "orders.write"}, status: exitRefused,
			says: []string{"✗  signature", "✓  certificate", `✗  scope, next: scope missing`, "refused: token_signature"}},
		{name: "not bound", token: l.issuer.Token(), status: exitRefused, says: []string{"✗  bound", "refused: binding_missing"}},
		{name: "not bound, and need not be", token: l.issuer.Token(), args: []string{"--bound=false"}, says: []string{"passes"}},
		{name: "DPoP", token: dpopToken, args: []string{"--proof", fit, "--url", orders}, says: []string{"passes"}},
		{name: "DPoP for another URL", token: dpopToken, args: []string{"--proof", proof("https://other.example.com/"), "--url", orders},
			status: exitRefused, says: []string{"refused: proof_target", "https://other.example.com/"}},
		{name: "DPoP under Bearer", token: dpopToken, args: []string{"--url", orders}, status: exitRefused,
			says: []string{"refused: binding_scheme"}},
		{name: "ID token", token: l.bound(popauthtest.Claims{"at_hash": "x"}), args: []string{"--typ", "JWT"}, status: exitRefused,
			says: []string{"refused: token_type"}},
		{name: "a key that nobody has", token: l.issuer.TokenWith(popauthtest.Claims{"kid": "nobody"}, l.owner.Bound()),
			status: exitRefused, says: []string{"✗  key", "-  signature: no key to check it by", "refused: token_key"}},
		{name: "no proof", token: dpopToken, args: []string{"--scheme", "DPoP", "--url", orders}, status: exitRefused,
			says: []string{"✗  form of the proof", "-  key of the proof: no proof that can be read", "refused: proof_missing"}},
		{name: "one part", token: "e30", status: exitRefused, says: []string{"refused: token_malformed"}},
		{name: "no JWT", token: "opaque", status: exitRefused, says: []string{"refused: token_malformed"}},
	} {
		status, out, errOut := l.explain(tt.token, tt.args...)
		if status != tt.status {
			t.Errorf("%s: got %d, want %d: %s%s", tt.name, status, tt.status, out, errOut)
		}
		for _, want := range tt.says {
			if !strings.Contains(out+errOut, want) {
				t.Errorf("%s: got %s%s, want %q in it", tt.name, out, errOut, want)
			}
		}
		if len(tt.token) > 20 && strings.Contains(out+errOut, tt.token) {
			t.Errorf("%s: the token is printed", tt.name)
		}
	}
}

// A mistyped name of a file is no token.
func TestNoSuchFile(t *testing.T) {
	l := newLab(t)
	for _, command := range []string{"inspect", "explain"} {
		args := []string{command, "owner.tken"}
		if command == "explain" {
			args = append(args, "--issuer", l.issuer.URL, "--audience", popauthtest.Audience)
		}
		if status, out, errOut := l.run("", args...); status != exitUsage || !strings.Contains(errOut, "no such file") {
			t.Errorf("%s: got %d, %s%s", command, status, out, errOut)
		}
	}
}

// Without --jwks the keys come from the issuer.
func TestExplainLive(t *testing.T) {
	l := newLab(t)
	args := []string{"explain", "--issuer", l.issuer.URL, "--audience", popauthtest.Audience, "--cert", l.path("owner.pem"), "-"}
	if status, out, errOut := l.run(l.bound(), append(args, "--ca", l.path("ca.pem"))...); status != exitOK ||
		!strings.Contains(out, "passes") {
		t.Errorf("got %d, %s%s", status, out, errOut)
	}
	status, out, errOut := l.run(l.bound(), args...)
	if status != exitRefused || !strings.Contains(out, "RootCAs") || !strings.Contains(errOut, "refused: unavailable") {
		t.Errorf("without the authority: got %d, %s%s", status, out, errOut)
	}
}

func forgedToken(token string) string {
	at := strings.LastIndexByte(token, '.') + 1
	return token[:at] + "AAAAAAAA" + token[at+8:]
}
