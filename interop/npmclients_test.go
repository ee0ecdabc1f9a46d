package interop_test

import (
	"crypto/rand"
	"crypto/tls"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/counterpart"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// npmCall is a request that a package of npm makes. Its key is "own" and its token that key's, unless it says otherwise.
type npmCall struct {
	Package string `json:"package"`
	Method  string `json:"method"`
	Path    string `json:"path"`
	Body    string `json:"body,omitempty"`
	Key     string `json:"key,omitempty"`
	Alg     string `json:"alg,omitempty"`    // of the key, when it is made
	Token   string `json:"token,omitempty"`  // the name of the key whose token it is
	Scheme  string `json:"scheme,omitempty"` // for dpop, jose and none
	Again   bool   `json:"again,omitempty"`  // for dpop: with the proof that it has sent last

	// For jose, members of the proof that differ; one that is nil is left out.
	Header object `json:"header,omitempty"`
	JWK    object `json:"jwk,omitempty"`
	Claims object `json:"claims,omitempty"`
	Ago    int    `json:"ago,omitempty"` // seconds
}

// npmOutcome is what came of it. Errors are what a package has read in the challenges.
type npmOutcome struct {
	Status int
	Reason popauth.Reason
	Errors []string
	Failed string
}

// Four libraries of npm get tokens from examples/tokenserver and call an API with proofs, with and without nonces; and
// each way in which a thief, or a client with an error, differs from them is refused.
func TestNPMClients(t *testing.T) {
	if err := installed(); err != nil {
		counterpart.Missing(t, err)
	}
	t.Run("without nonces", func(t *testing.T) { testNPMClients(t, nil) })
	t.Run("with nonces", func(t *testing.T) {
		testNPMClients(t, dpop.StatelessNonces{Secrets: [][]byte{[]byte(rand.Text() + rand.Text())}}, "-dpop-nonces")
	})
}

func testNPMClients(t *testing.T, nonces dpop.NonceSource, flags ...string) {
	s := newTokenServer(t, flags...)
	spy := &popauthtest.Spy{}
	var challenged atomic.Int32
	proofs, err := dpop.New(dpop.Options{URL: dpop.RequestURL, Nonces: nonces})
	if err != nil {
		t.Fatal(err)
	}
	guard, err := popauth.New(popauth.Options{
		Issuer: s.issuer, Audience: []string{structured}, Keys: s.keys(), TokenTypes: []string{"at+jwt"},
		Confirmers: []popauth.Confirmer{popauth.MutualTLS{}, proofs},
		Deny: func(w http.ResponseWriter, _ *http.Request, e *popauth.Error) {
			if e.Reason == popauth.ErrNonceRequired {
				challenged.Add(1)
			}
			w.Header().Set(reasonHeader, e.Reason.Error())
			w.WriteHeader(e.Status())
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	api := popauthtest.NewServer(t, popauth.RequestLine{}.Handler(guard.Confirm(spy)),
		func(c *tls.Config) { c.Certificates = []tls.Certificate{s.certificate} })
	n := run(t, "npmclients.mjs", object{
		"issuer": s.issuer, "id": "by-key", "secret": clientSecret, "api": api.URL, "roots": string(s.ca.PEM()),
		"parameters": map[string]string{"scope": "orders.read", "resource": structured},
	})
	passed := 0
	for _, row := range npmRows() {
		before := spy.Ran()
		if row.call.Method == "" {
			row.call.Method = http.MethodGet
		}
		if row.call.Path == "" {
			row.call.Path = "/orders"
		}
		n.write(row.call)
		var got npmOutcome
		n.read(&got)
		want := http.StatusOK
		if row.want != "" {
			want = (&popauth.Error{Reason: row.want}).Status()
		}
		ran := spy.Ran() - before
		reason := row.want
		if reason == popauth.ErrRequestLine {
			reason = "" // RequestLine.Handler answers, which is outside of the Guard and its Deny
		}
		ok := got.Failed == "" && got.Status == want && got.Reason == reason
		if row.call.Package != verifies {
			ok = ok && (ran == 1) == (row.want == "") && ran < 2
		}
		if want == http.StatusUnauthorized && (row.call.Package == "oauth4webapi" || row.call.Package == "openid-client") {
			ok = ok && slices.Contains(got.Errors, wanted(row.want).code)
		}
		if !ok {
			t.Errorf("%s, %s: got %+v, the handler ran %d times, want %d %q", row.call.Package, row.name, got, ran, want, row.want)
			continue
		}
		passed++
	}
	t.Logf("%d of %d, asked for a nonce %d times", passed, len(npmRows()), challenged.Load())
	if (challenged.Load() > 0) != (nonces != nil) {
		t.Errorf("asked for a nonce: got %d times", challenged.Load())
	}
}

// verifies is jose as a reader of the token: its outcome is its own, and no request is made.
const verifies = "jose verifies"

type npmRow struct {
	name string
	call npmCall
	want popauth.Reason // "" if it passes
}

func npmRows() []npmRow {
	var rows []npmRow
	add := func(name string, want popauth.Reason, call npmCall) { rows = append(rows, npmRow{name, call, want}) }
	for _, name := range []string{"oauth4webapi", "openid-client", "dpop", "none"} {
		want := popauth.Reason("")
		if name == "none" {
			want = popauth.ErrProofMissing
		}
		add("its own token", want, npmCall{Package: name})
		add("another's token", orElse(want, popauth.ErrProofKey), npmCall{Package: name, Key: "thief", Token: "own"})
	}
	add("the token", "", npmCall{Package: verifies})
	add("another's token", "", npmCall{Package: verifies, Key: "thief"})
	for _, alg := range []string{"ES256", "RS256", "PS256", "EdDSA", "Ed25519"} {
		add(alg, "", npmCall{Package: "oauth4webapi", Key: alg, Alg: alg})
	}
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "QUERY"} {
		call := npmCall{Package: "oauth4webapi", Method: method}
		if method != "DELETE" && method != "OPTIONS" && method != "HEAD" {
			call.Body = "x"
		}
		add(method, "", call)
		call.Package = "openid-client"
		add(method, "", call)
	}
	for _, row := range []struct {
		path string
		want popauth.Reason
	}{
		{"", ""}, {"/?", ""}, {"/orders?x=1&y=%2F", ""}, {"/a%20b", ""}, {"/a b", ""}, {"/ö", ""}, {"/%C3%B6", ""}, {"/%c3%b6", ""},
		{"/a/../b", ""}, {"/it's(1)*!", ""}, {"/%7Euser", ""}, {"/~user", ""}, {"/a%3ab", ""}, {"/x#fragment", ""}, {"/a|b", ""},
		{`/a"b`, ""}, {"/a^b`{}", ""}, {"/a,b=c@d", ""}, {"/a//b", popauth.ErrRequestLine}, {"//double", popauth.ErrRequestLine},
		{"/a;b=c", popauth.ErrRequestLine}, {"/a%2Fb", popauth.ErrRequestLine}, {"/a%00b", popauth.ErrRequestLine},
	} {
		for _, name := range []string{"oauth4webapi", "dpop"} {
			add(strconv.Quote(row.path), row.want, npmCall{Package: name, Path: row.path})
		}
	}
	add("a proof", "", npmCall{Package: "dpop"})
	add("the same once more", popauth.ErrProofReplayed, npmCall{Package: "dpop", Again: true})
	return append(rows, proofRows()...)
}

func orElse(reason, other popauth.Reason) popauth.Reason {
	if reason != "" {
		return reason
	}
	return other
}

// proofRows are proofs of jose: some that RFC 9449 allows, and some that it doesn't.
func proofRows() []npmRow {
	rows := []npmRow{
		{"as it should be", npmCall{}, ""},
		{"jwk with alg, use and kid", npmCall{JWK: object{"alg": "ES256", "use": "sig", "kid": "k"}}, ""},
		{"jwk with key_ops and ext, as WebCrypto exports it", npmCall{JWK: object{"key_ops": []string{"verify"}, "ext": true}}, ""},
		{"kid in the header", npmCall{Header: object{"kid": "k"}}, ""},
		{"exp and nbf", npmCall{Claims: object{"exp": 4102444800, "nbf": 1}}, ""},
		{"exp in the past", npmCall{Claims: object{"exp": 1}}, popauth.ErrProofTime},
		{"a jti of 256 characters", npmCall{Claims: object{"jti": rand.Text() + strings.Repeat("x", 230)}}, ""},
		{"a jti of a KiB", npmCall{Claims: object{"jti": strings.Repeat("x", 1024)}}, popauth.ErrProofMalformed},
		{"ten minutes old", npmCall{Ago: 600}, popauth.ErrProofTime},
		{"ten minutes ahead", npmCall{Ago: -600}, popauth.ErrProofTime},
		{"without iat", npmCall{Claims: object{"iat": nil}}, popauth.ErrProofTime},
		{"without jti", npmCall{Claims: object{"jti": nil}}, popauth.ErrProofMalformed},
		{"without ath", npmCall{Claims: object{"ath": nil}}, popauth.ErrProofMalformed},
		{"ath of another token", npmCall{Claims: object{"ath": "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"}}, popauth.ErrProofToken},
		{"htm in lower case", npmCall{Claims: object{"htm": "get"}}, popauth.ErrProofTarget},
		{"htm of another request", npmCall{Claims: object{"htm": "POST"}}, popauth.ErrProofTarget},
		{"htu of another server", npmCall{Claims: object{"htu": "https://localhost/orders"}}, popauth.ErrProofTarget},
		{"htu of another path", npmCall{Path: "/orders/", Claims: object{"htu": "https://localhost/orders"}}, popauth.ErrProofTarget},
		{"typ JWT", npmCall{Header: object{"typ": "JWT"}}, popauth.ErrProofMalformed},
		{"without typ", npmCall{Header: object{"typ": nil}}, popauth.ErrProofMalformed},
		{"a private jwk", npmCall{JWK: object{"d": "AAAA"}}, popauth.ErrProofMalformed},
		{"as Bearer", npmCall{Scheme: "Bearer"}, popauth.ErrBindingScheme},
		{"another key", npmCall{Key: "thief", Token: "own"}, popauth.ErrProofKey},
	}
	for i := range rows {
		rows[i].call.Package = "jose"
	}
	return append(rows, npmRow{"as Bearer, without a proof", npmCall{Package: "none", Scheme: "Bearer"}, popauth.ErrBindingScheme})
}
