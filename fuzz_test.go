package popauth_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// holds is what is true of every answer: the Check and the handlers agree, the status and the challenges are of the
// tables, and nothing of what was sent is in them.
func holds(t *testing.T, g *popauth.Guard, r *http.Request) (*popauth.Principal, *popauth.Error) {
	t.Helper()
	p, err := g.Check(r)
	var e *popauth.Error
	if err != nil && (!errors.As(err, &e) || p != nil) {
		t.Fatalf("got %v, %v, want an *Error alone", p, err)
	}
	o := lab.Send(g.Authenticate, r)
	if o.Ran != (err == nil) {
		t.Fatalf("VULNERABLE: Check says %v, but the handler ran: %t", err, o.Ran)
	}
	if e == nil {
		return p, nil
	}
	if o.Status != e.Status() || !slices.Contains([]int{400, 401, 403, 503}, e.Status()) || o.Body != "" ||
		!slices.Equal(o.Challenges, e.Challenges()) {
		t.Fatalf("got %d %q %q, want %d %q", o.Status, o.Challenges, o.Body, e.Status(), e.Challenges())
	}
	if e.Status() == 401 && len(o.Challenges) == 0 {
		t.Fatal("401 without a challenge")
	}
	for _, line := range o.Challenges {
		scheme, params, err := lab.ReadChallenge(line)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if scheme != "Bearer" || !slices.Contains([]string{"", "invalid_request", "invalid_token"}, params["error"]) ||
			!popauth.Descriptions()[params["error_description"]] {
			t.Fatalf("VULNERABLE: %q is not one of ours", line)
		}
		delete(params, "error")
		delete(params, "error_description")
		if len(params) > 0 {
			t.Fatalf("VULNERABLE: %q has more than the tables", line)
		}
	}
	return nil, e
}

// FuzzAuthorization sends any Authorization line and query.
func FuzzAuthorization(f *testing.F) {
	good := lab.FuzzToken(lab.FuzzHeader, lab.FuzzPayload(""))
	for _, line := range []string{
		"Bearer " + good, "bearer  " + good, "Bearer", "Bearer ", "", " ", "\tBearer " + good, "DPoP " + good, "Basic dTpw",
		"Bearer " + good + " x", "Bearer " + good + ",Bearer x",
		`Bearer token="` + good + `"`, "Bearer =", "Bearer a=b", "Bearer " + good + "=", "Bearer ..",
		"Bearer " + strings.Repeat("A", 17<<10), "Bearer \xff", "B\u00e9arer x", "Bearer\x00" + good,
	} {
		f.Add(line, "")
	}
	f.Add("Bearer "+good, "access_token=x")
	f.Add("Bearer "+good, "a=b&access%5ftoken")
	g := lab.FuzzGuard(f)
	_, public := lab.FuzzKey()
	f.Fuzz(func(t *testing.T, line, query string) {
		r := (&popauthtest.Client{}).Request("GET", "/", "")
		r.Header["Authorization"] = []string{line}
		r.URL.RawQuery = query
		if _, e := holds(t, g, r); e != nil {
			return
		}
		scheme, token, _ := strings.Cut(line, " ")
		if !strings.EqualFold(scheme, "Bearer") || !signedBy(public, strings.TrimLeft(token, " ")) ||
			strings.Contains("&"+query, "&access_token") {
			t.Fatalf("VULNERABLE: accepted %q with %q", line, query)
		}
		r.Header["Authorization"] = []string{line, line}
		if _, e := holds(t, g, r); e == nil {
			t.Fatal("VULNERABLE: accepted twice the line")
		}
	})
}

// signedBy tells whether token is a compact JWS of the key, read by the letter.
func signedBy(public ed25519.PublicKey, token string) bool {
	i := strings.LastIndexByte(token, '.')
	if i < 0 || strings.Count(token, ".") != 2 || strings.ContainsAny(token, "\r\n=+/~ ") {
		return false
	}
	signature, err := base64.RawURLEncoding.Strict().DecodeString(token[i+1:])
	return err == nil && ed25519.Verify(public, []byte(token[:i]), signature)
}

// FuzzHeader signs any JOSE header.
func FuzzHeader(f *testing.F) {
	for _, h := range []string{
		lab.FuzzHeader, `{}`, `null`, `[]`, `{"alg":"none"}`, `{"alg":"EdDSA","typ":"JWT","crit":[]}`,
		`{"alg":"EdDSA","typ":"JWT","b64":true}`, `{"alg":"EdDSA","typ":"JWT","kid":5}`, `{"alg":"EdDSA","typ":"JWT","kid":"\u000a"}`,
		`{"alg":"EdDSA","alg":"EdDSA","typ":"JWT"}`, `{"Alg":"EdDSA","typ":"JWT"}`, `{"alg":"EdDSA","typ":"dpop+jwt"}`,
		`{"alg":"EdDSA","typ":"JWT","jwk":{"kty":"OKP"},"jku":"http://x"}`, `{"alg":"EdDSA","cty":"application/JWT"}`,
		`{"alg":"ES256","typ":"JWT","kid":"k"}`, `{"alg":"Ed25519"}`, `{"alg":"EdDSA"} `, `{"alg":"EdDSA"}x`,
		`{"alg":"EdDSA","x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + "}", "\ufeff{}",
	} {
		f.Add(h)
	}
	g := lab.FuzzGuard(f)
	f.Fuzz(func(t *testing.T, header string) {
		_, e := holds(t, g, (&popauthtest.Client{}).Request("GET", "/", lab.FuzzToken(header, lab.FuzzPayload(""))))
		if e != nil {
			return
		}
		// What is accepted says EdDSA once, a type that is allowed, and nothing that would change its meaning.
		for _, must := range []string{"alg", "Ed"} {
			if !strings.Contains(header, must) && !strings.Contains(header, `\u`) {
				t.Fatalf("VULNERABLE: accepted %q", header)
			}
		}
		for _, never := range []string{`"crit"`, `"b64"`, `"DEF"`, `"enc"`, "none", "\xff"} {
			if strings.Contains(header, never+":") {
				t.Fatalf("VULNERABLE: accepted %q", header)
			}
		}
	})
}

// FuzzClaims signs any payload.
func FuzzClaims(f *testing.F) {
	for _, more := range []string{"", `,"exp":0`, `,"nbf":1e30`, `,"scope":"a b"`, `,"cnf":{"x5t#S256":"x"}`, `,"cnf":{}`, `,"CNF":{}`,
		`,"aud":[]`, `,"x":"\ud800"`, `,"x":1e999`, `}{`, `,"iat":9e99`, `,"sub":null`} {
		f.Add(lab.FuzzPayload(more))
	}
	for _, p := range []string{"", "null", "{}", "[]", `{"iss":"https://id.example.com"}`, strings.Repeat("[", 5000)} {
		f.Add(p)
	}
	g := lab.FuzzGuard(f)
	f.Fuzz(func(t *testing.T, payload string) {
		p, e := holds(t, g, (&popauthtest.Client{}).Request("GET", "/", lab.FuzzToken(lab.FuzzHeader, payload)))
		if e != nil {
			return
		}
		if p.Issuer != lab.FuzzIssuer || !slices.Contains(p.Audience, popauthtest.Audience) || p.ExpiresAt.Unix() <= lab.FuzzNow-30 ||
			p.IssuedAt.Unix() > lab.FuzzNow+30 || len(p.Bindings) > 0 {
			t.Fatalf("VULNERABLE: accepted %+v from %q", p, payload)
		}
		again, err := popauth.NewToken([]byte(payload))
		if err != nil || again.Subject() != p.Subject || !slices.Equal(again.Scopes(), p.Scopes) {
			t.Fatalf("read twice: got %+v, %v, then %+v", p, err, again)
		}
	})
}

// FuzzConfirmation binds a token to anything: without a certificate and with another's, it opens nothing.
func FuzzConfirmation(f *testing.F) {
	owner, thief := popauthtest.NewCA(f).Client("owner"), popauthtest.SelfSigned(f, "thief")
	for _, value := range []string{
		`{"x5t#S256":"@"}`, `{"x5t#S256":""}`, `{"x5t#S256":"@="}`, `{"x5t#S256":"@\n"}`, `{}`, `null`, `"@"`, `5`, `[]`, `["@"]`,
		`{"jkt":"@"}`, `{"x5t#S256":"@","jkt":"@"}`, `{"x5t#S256":"@","x5t#S256":"@"}`, `{"X5T#S256":"@"}`,
		`{"x5t#S256":null}`, `{"x5t#S256":["@"]}`, `{"kid":"@"}`, `{"x5t#S256":"@","":""}`, `{"x5t#S256":"@"},"cnf":{}`,
		`{"jwk":{"kty":"EC"}}`, `{"x5t":"@"}`, `{"x5t\u0023S256":"@"}`, `false`, ``,
	} {
		f.Add(value)
	}
	g := lab.FuzzGuard(f)
	f.Fuzz(func(t *testing.T, value string) {
		if strings.Contains(value, thief.Thumbprint()) {
			return
		}
		token := lab.FuzzToken(lab.FuzzHeader, lab.FuzzPayload(`,"cnf":`+strings.ReplaceAll(value, "@", owner.Thumbprint())))
		for _, c := range []*popauthtest.Client{nil, thief} {
			if p, e := holds(t, g, c.Request("GET", "/", token)); e == nil {
				t.Fatalf("VULNERABLE: cnf %s: accepted %+v", value, p)
			}
		}
		if p, e := holds(t, g, owner.Request("GET", "/", token)); e == nil &&
			(len(p.Bindings) != 1 || p.Bindings[0].Value != owner.Thumbprint()) {
			t.Fatalf("VULNERABLE: cnf %s: accepted %+v", value, p)
		}
	})
}

// FuzzScope asks for a scope of a token with any scope claim: what is granted stands in it, by itself.
func FuzzScope(f *testing.F) {
	for _, value := range []string{`"admin"`, `"a admin"`, `"administrator"`, `"Admin"`, `"a\tadmin"`, `"a\u00a0admin"`, `["admin"]`,
		`["a admin"]`, `[["admin"]]`, `[]`, `null`, `5`, `{"admin":true}`, `"",  "scp":"admin"`, `"a","Scope":"admin"`, `" admin "`} {
		f.Add(value)
	}
	g := lab.FuzzGuard(f)
	f.Fuzz(func(t *testing.T, value string) {
		token := lab.FuzzToken(lab.FuzzHeader, lab.FuzzPayload(`,"scope":`+value))
		r := (&popauthtest.Client{}).Request("GET", "/", token)
		p, e := holds(t, g, r)
		if e != nil {
			return
		}
		_, err := g.Check(r, popauth.Scope("admin"))
		if (err == nil) != slices.Contains(p.Scopes, "admin") {
			t.Fatalf("VULNERABLE: scope %s: got %v for %q", value, err, p.Scopes)
		}
		if err == nil && !strings.Contains(value, "admin") && !strings.Contains(value, `\`) {
			t.Fatalf("VULNERABLE: scope %s grants admin", value)
		}
		for _, s := range p.Scopes {
			if strings.Contains(s, " ") && !strings.Contains(value, "[") {
				t.Fatalf("scope %s: got %q", value, p.Scopes)
			}
		}
	})
}

// FuzzCheck sends any token, and any refusal of a Verifier, and both with any realm.
func FuzzCheck(f *testing.F) {
	good := lab.FuzzToken(lab.FuzzHeader, lab.FuzzPayload(""))
	for _, token := range []string{good, good + ".", good[:len(good)-1], "." + good, "a.b.c", "..", "e30.e30.AA",
		strings.Repeat(".", 100), good[:40] + "\n" + good[40:], strings.ToUpper(good)} {
		f.Add(token, "reason", "realm")
	}
	f.Add("x", `"`, `\`)
	f.Add("x", "\r\nSet-Cookie: a=b", "\x00")
	f.Add("x", "\u2028", "\u00e4")
	plain := lab.FuzzGuard(f)
	_, public := lab.FuzzKey()
	f.Fuzz(func(t *testing.T, token, reason, realm string) {
		r := (&popauthtest.Client{}).Request("GET", "/", token)
		if _, e := holds(t, plain, r); e == nil && !signedBy(public, strings.TrimLeft(token, " ")) {
			t.Fatalf("VULNERABLE: accepted %q", token)
		}
		refuse := lab.VerifierFunc(func(context.Context, string) (*popauth.Token, error) {
			return nil, fmt.Errorf("%s: %w", token, popauth.Reason(reason))
		})
		g, err := popauth.New(popauth.Options{Verifier: refuse, Realm: realm})
		if err != nil {
			return // a realm that can't be written
		}
		_, err = g.Check(r)
		var e *popauth.Error
		if !errors.As(err, &e) {
			t.Fatalf("VULNERABLE: got %v", err)
		}
		for _, line := range e.Challenges() {
			_, params, err := lab.ReadChallenge(line)
			if err != nil || params["realm"] != realm {
				t.Fatalf("%q: realm %q, %v, want %q", line, params["realm"], err, realm)
			}
		}
	})
}
