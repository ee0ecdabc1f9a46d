package refusals_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// whyRow is a mistake in a deployment, or a refusal that is right, with what its line in the log has to say.
type whyRow struct {
	fault   string
	options func(*popauth.Options)
	request func() *http.Request
	stage   func(*popauth.Guard) func(http.Handler) http.Handler // nil: Confirm
	says    []string
}

// whyLab has the parties of the rows.
type whyLab struct {
	*lab.Lab
	key *popauthtest.ProofKey
}

// get is a request of the owner with a token.
func (l whyLab) get(token string) func() *http.Request {
	return func() *http.Request { return l.Owner.Request("GET", "/orders", token) }
}

// with is a request of the owner with this Authorization.
func (l whyLab) with(authorization string) func() *http.Request {
	return func() *http.Request {
		r := l.Owner.Request("GET", "/orders", "")
		r.Header.Set("Authorization", authorization)
		return r
	}
}

func (l whyLab) proofs(o dpop.Options) func(*popauth.Options) {
	return func(p *popauth.Options) { p.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, lab.Proofs(o)} }
}

// From the line of a refusal alone one can tell why, with both values that differ, and what to change.
func TestLineSaysWhy(t *testing.T) {
	l := whyLab{Lab: lab.New(t)}
	l.key = popauthtest.NewProofKey(t, "ES256")
	l.key.Now = l.Clock.Now
	var all bytes.Buffer
	for _, row := range append(append(append(l.tokenRows(), l.credentialRows()...), l.proofRows()...), l.policyRows()...) {
		var log bytes.Buffer
		g := l.Guard(func(o *popauth.Options) {
			o.Logger = slog.New(slog.NewTextHandler(&log, nil))
			if row.options != nil {
				row.options(o)
			}
		})
		log.Reset() // of what New has warned of
		stage := g.Confirm
		if row.stage != nil {
			stage = row.stage(g)
		}
		if out := lab.Send(stage, row.request()); out.Ran {
			t.Errorf("%s: the handler ran", row.fault)
		}
		checkLine(t, row.fault, log.String(), row.says)
		_, _ = all.WriteString(row.fault + "\n\t" + log.String())
	}
	keepLines(t, &all)
}

func checkLine(t *testing.T, fault, line string, says []string) {
	t.Helper()
	if strings.Count(line, "\n") != 1 {
		t.Errorf("%s: got %q, want one line", fault, line)
	}
	for _, want := range says {
		if !strings.Contains(strings.ReplaceAll(line, `\"`, `"`), want) {
			t.Errorf("%s: got %s, want %q in it", fault, line, want)
		}
	}
}

// keepLines writes the lines into a file, for people to judge them.
func keepLines(t *testing.T, lines *bytes.Buffer) {
	t.Helper()
	path := os.Getenv("POPAUTH_LINES")
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(lines.Bytes()); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

func (l whyLab) tokenRows() []whyRow {
	now := l.Clock.Now()
	slash := l.Issuer.URL + "/"
	return []whyRow{
		{fault: "issuer with a slash at the end", request: l.get(l.Bound(popauthtest.Claims{"iss": slash})),
			says: []string{"code=token_issuer", `what=iss`, `got="` + `"` + slash, `want="` + `"` + l.Issuer.URL,
				"only the slash at the end differs"}},
		{fault: "another issuer", request: l.get(l.Bound(popauthtest.Claims{"iss": "https://other.example.com"})),
			says: []string{"code=token_issuer", "https://other.example.com", l.Issuer.URL}},
		{fault: "no iss", request: l.get(l.Bound(popauthtest.Claims{"iss": popauthtest.Omit})),
			says: []string{"code=token_issuer", "got=absent", "JWTOptions.JWTSVIDs"}},
		{fault: "another audience", request: l.get(l.Bound(popauthtest.Claims{"aud": "https://other.example.com"})),
			says: []string{"code=token_audience", "what=aud", "https://other.example.com", popauthtest.Audience, "Options.Audience"}},
		{fault: "no audience", request: l.get(l.Bound(popauthtest.Claims{"aud": popauthtest.Omit})),
			says: []string{"code=token_audience", "got=absent", popauthtest.Audience, "ClientsWithoutAudience"}},
		{fault: "typ that is not listed", options: func(o *popauth.Options) { o.TokenTypes = []string{"at+jwt"} },
			request: l.get(l.Issuer.TokenWith(popauthtest.Claims{"typ": "JWT"}, l.Owner.Bound())),
			says:    []string{"code=token_type", "what=typ", `got="` + `"JWT"`, `want="` + `"at+jwt"`, "Options.TokenTypes"}},
		{fault: "no typ", request: l.get(l.Issuer.TokenWith(popauthtest.Claims{"typ": popauthtest.Omit}, l.Owner.Bound())),
			says: []string{"code=token_type", "what=typ", "got=absent", `list "" in Options.TokenTypes`}},
		{fault: "an ID token", request: l.get(l.Issuer.TokenWith(popauthtest.Claims{"typ": "JWT"}, l.Owner.Bound(),
			popauthtest.Claims{"at_hash": "x"})),
			says: []string{"code=token_type", `"at_hash"`, "ID token", "Options.AllowIDTokens"}},
		{fault: "algorithm that is not allowed", options: func(o *popauth.Options) { o.Algorithms = []string{"ES256"} },
			request: l.get(l.Issuer.TokenWith(popauthtest.Claims{"alg": "ES384"}, l.Owner.Bound())),
			says:    []string{"code=token_algorithm", "what=alg", `"ES384"`, `"ES256"`, "Options.Algorithms"}},
		{fault: "HMAC", request: l.get(l.Issuer.TokenWith(popauthtest.Claims{"alg": "HS256"}, l.Owner.Bound())),
			says: []string{"code=token_algorithm", `"HS256"`, `"RS256" or `, "whoever can verify an HMAC can make one"}},
		{fault: "key that the issuer doesn't have",
			request: l.get(l.Issuer.TokenWith(popauthtest.Claims{"kid": "yesterday"}, l.Owner.Bound())),
			says:    []string{"code=token_key", "what=kid", `"yesterday"`, `want="one of the issuer's keys, "`}},
		{fault: "forged signature", request: l.get(forged(l.Bound())),
			says: []string{"code=token_signature", "the issuer's key with the kid"}},
		{fault: "expired", request: l.get(l.Bound(popauthtest.Claims{"iat": now.Unix() - 7200, "exp": now.Unix() - 3600})),
			says: []string{"code=token_expired", "what=exp", "1h0m0s ago by this clock, 2027-01-15T08:00:00Z", "leeway of 30s"}},
		{fault: "API's clock behind", request: l.get(l.Bound(popauthtest.Claims{"iat": now.Unix() + 90, "nbf": popauthtest.Omit})),
			says: []string{"code=token_not_yet_valid", "what=iat", "1m30s ahead of this clock", "compare the clocks"}},
		{fault: "not valid before tomorrow", request: l.get(l.Bound(popauthtest.Claims{"nbf": now.Unix() + 86400,
			"exp": now.Unix() + 90000})),
			says: []string{"code=token_not_yet_valid", "what=nbf", "24h0m0s ahead"}},
		{fault: "no exp", request: l.get(l.Bound(popauthtest.Claims{"exp": popauthtest.Omit})),
			says: []string{"code=token_malformed", "no exp", "AllowMissingExpiration"}},
		{fault: "claim of another JSON type", request: l.get(l.Bound(popauthtest.Claims{"exp": "tomorrow"})),
			says: []string{"code=token_malformed", "claim exp", "want a number of seconds"}},
		{fault: "token cut off", request: l.get(l.Bound()[:40]), says: []string{"code=token_malformed"}},
		{fault: "client named elsewhere", options: func(o *popauth.Options) { o.ClientClaim = "azp" }, request: l.get(l.Bound()),
			says: []string{"code=token_type", `"azp"`, "Options.ClientClaim"}},
		{fault: "revoked", options: func(o *popauth.Options) {
			o.Revoked = func(context.Context, *popauth.Token) (bool, error) { return true, nil }
		}, request: l.get(l.Bound()), says: []string{"code=token_revoked", "client=client-1", "token_id="}},
		{fault: "list of revoked tokens is down", options: func(o *popauth.Options) {
			o.Revoked = func(context.Context, *popauth.Token) (bool, error) {
				return false, errors.New("dial tcp 10.0.0.7:5432: refused")
			}
		}, request: l.get(l.Bound()), says: []string{"level=WARN", "code=unavailable", "dial tcp 10.0.0.7:5432: refused"}},
	}
}

func forged(token string) string {
	at := strings.LastIndexByte(token, '.') + 1
	return token[:at] + strings.Map(func(r rune) rune {
		if r == 'A' {
			return 'B'
		}
		return r
	}, token[at:at+8]) + "AAAA" + token[at+12:]
}

func (l whyLab) credentialRows() []whyRow {
	token := l.Bound()
	return []whyRow{
		{fault: "no credentials", request: l.get(""), says: []string{"code=credentials_missing", "method=GET", "path=/orders"}},
		{fault: "CORS preflight", request: func() *http.Request {
			r := l.Owner.Request("OPTIONS", "/orders", "")
			r.Header.Set("Access-Control-Request-Method", "GET")
			return r
		}, says: []string{"code=credentials_missing", "method=OPTIONS", "preflight", "put the CORS handler outside of the Guard"}},
		{fault: "DPoP scheme without its Confirmer", request: l.with("DPoP " + token),
			says: []string{"code=credentials_missing", `"DPoP"`, `"Bearer"`, "Options.Confirmers", "dpop.Confirmer"}},
		{fault: "scheme Token", request: l.with("Token " + token), says: []string{"code=credentials_missing", `"Token"`, `"Bearer"`}},
		{fault: "token without a scheme", request: l.with(token),
			says: []string{"code=credentials_missing", "one word alone", "Authorization: Bearer"}},
		{fault: "two Authorization headers", request: func() *http.Request {
			r := l.get(token)()
			r.Header.Add("Authorization", "Bearer "+token)
			return r
		}, says: []string{"code=credentials_malformed", "2 header lines", "want=one"}},
		{fault: "token in the query as well", request: func() *http.Request {
			return l.Owner.Request("GET", "/orders?access_token="+token, token)
		}, says: []string{"code=credentials_malformed", "access_token in the query"}},
		{fault: "a thief with another certificate", request: func() *http.Request { return l.Thief.Request("GET", "/orders", token) },
			says: []string{"code=certificate_mismatch", "what=x5t#S256", "of the certificate of this connection", "of the token's cnf",
				"client=client-1"}},
		{fault: "token not bound", request: l.get(l.Unbound()),
			says: []string{"code=binding_missing", "what=cnf", "got=absent", "the issuer has to bind the token"}},
		{fault: "bound by DPoP, only MutualTLS configured", request: l.get(l.Unbound(l.key.Bound())),
			says: []string{"code=binding_unknown", `"jkt"`, "Options.Confirmers has none"}},
	}
}

func (l whyLab) proofRows() []whyRow {
	bound := l.Issuer.Token(l.key.Bound())
	send := func(claims ...popauthtest.Claims) func() *http.Request {
		return func() *http.Request { return l.key.Request("GET", lab.DPoPURL, bound, claims...) }
	}
	now := l.Clock.Now()
	thief := popauthtest.NewProofKey(l, "ES256")
	thief.Now = l.Clock.Now
	open := l.proofs(dpop.Options{BaseURL: "https://api.example.com"})
	return []whyRow{
		{fault: "DPoP token under Bearer", options: open, request: func() *http.Request {
			r := send()()
			r.Header.Set("Authorization", "Bearer "+bound)
			return r
		}, says: []string{"code=binding_scheme", `got="` + `"Bearer"`, `want="` + `"DPoP"`, "bound by DPoP"}},
		{fault: "unbound token under DPoP", options: open, request: func() *http.Request {
			return l.key.Request("GET", lab.DPoPURL, l.Unbound())
		}, says: []string{"code=binding_scheme", `got="` + `"DPoP"`, `want="` + `"Bearer"`, "the token isn't bound at all"}},
		{fault: "BaseURL of another scheme", options: l.proofs(dpop.Options{BaseURL: "http://api.example.com"}), request: send(),
			says: []string{"code=proof_target", "what=htu", lab.DPoPURL, "http://api.example.com/orders", "dpop.Options.BaseURL"}},
		{fault: "a proxy that rewrites the path", options: l.proofs(dpop.Options{BaseURL: "https://api.example.com/v1"}), request: send(),
			says: []string{"code=proof_target", "https://api.example.com/v1/orders", `dpop.Options.BaseURL puts "/v1" before the path`}},
		{fault: "proof for another method", options: open, request: send(popauthtest.Claims{"htm": "POST"}),
			says: []string{"code=proof_target", "what=htm", `"POST"`, `"GET"`}},
		{fault: "client's clock is slow", options: open, request: send(popauthtest.Claims{"iat": now.Unix() - 600}),
			says: []string{"code=proof_time", "10m0s ago", "dpop.Options.MaxAge", "NonceTime"}},
		{fault: "client's clock is fast", options: open, request: send(popauthtest.Claims{"iat": now.Unix() + 600}),
			says: []string{"code=proof_time", "10m0s ahead of this clock", "dpop.Options.Leeway"}},
		{fault: "a thief with a key of his own", options: open, request: func() *http.Request {
			return thief.Request("GET", lab.DPoPURL, bound)
		},
			says: []string{"code=proof_key", "what=jkt", "of the proof's key", "of the token's cnf", "client=client-1"}},
		{fault: "no proof", options: open, request: func() *http.Request {
			r := send()()
			r.Header.Del("DPoP")
			return r
		}, says: []string{"code=proof_missing", "client=client-1"}},
	}
}

func (l whyLab) policyRows() []whyRow {
	allow := func(policies ...popauth.Policy) func(*popauth.Guard) func(http.Handler) http.Handler {
		return func(g *popauth.Guard) func(http.Handler) http.Handler { return g.Authorize(policies...) }
	}
	return []whyRow{
		{fault: "scope missing", stage: allow(popauth.Scope("orders.write")), request: l.get(l.Bound()),
			says: []string{"code=scope", `got="` + `"orders.read"`, `want="` + `"orders.write"`}},
		{fault: "scopes with commas", stage: allow(popauth.Scope("orders.read")),
			request: l.get(l.Bound(popauthtest.Claims{"scope": "a,orders.read"})),
			says:    []string{"code=scope", `"a,orders.read"`, "a comma separates no scopes"}},
		{fault: "another client", stage: allow(popauth.Client("batch")), request: l.get(l.Bound()),
			says: []string{"code=forbidden", "what=client", `"client-1"`, `"batch"`}},
		{fault: "another subject", stage: allow(popauth.Subject("bob")), request: l.get(l.Bound()),
			says: []string{"code=forbidden", "what=subject", `"bob"`}},
		{fault: "another issuer by policy", stage: allow(popauth.Issuer("https://acme.example")), request: l.get(l.Bound()),
			says: []string{"code=forbidden", "what=issuer", l.Issuer.URL, "https://acme.example"}},
		{fault: "neither of two policies", stage: allow(popauth.AnyOf(popauth.Scope("a"), popauth.Client("b"))), request: l.get(l.Bound()),
			says: []string{"code=scope", `want="` + `"a"`, "cause2.code=forbidden cause2.what=client", `cause2.want="` + `"b"`}},
	}
}

// Six faults of a deployment, in each of which the API finds no certificate, have six lines. A seventh is the client's.
func TestLineSaysWhyNoCertificate(t *testing.T) {
	l := lab.New(t)
	token := l.Bound()
	behind := func(format proxy.Format, peers ...string) popauth.CertificateSource {
		var prefixes []netip.Prefix
		for _, p := range peers {
			prefixes = append(prefixes, netip.MustParsePrefix(p))
		}
		return lab.ByProxy(format, proxy.TrustPeers(prefixes...))
	}
	header := http.Header{"X-Forwarded-Client-Cert": {`Cert="x"`}}
	var all bytes.Buffer
	seen := map[string]string{}
	for _, row := range []struct {
		fault  string
		source popauth.CertificateSource
		auth   tls.ClientAuthType
		plain  bool
		header http.Header
		says   []string
	}{
		{fault: "ClientAuth is not set", says: []string{"this server asks its clients for none", "set ClientAuth there"}},
		{fault: "client without a certificate", auth: tls.RequestClientCert, says: []string{"was asked for one, and has shown none"}},
		{fault: "a proxy in front, and no Options.Certificate", plain: true, header: header,
			says: []string{"no TLS, and no proxy is configured", "the request has X-Forwarded-Client-Cert", "docs/proxies.md"}},
		{fault: "wrong address in TrustPeers", source: behind(proxy.Envoy(), "10.0.0.0/8"), plain: true, header: header,
			says: []string{"127.0.0.1:", "is no proxy by the trust rule", "X-Forwarded-Client-Cert was ignored"}},
		{fault: "the proxy sends no header", source: behind(proxy.Envoy(), "127.0.0.0/8"), plain: true,
			says: []string{"the proxy, ", "has sent none of X-Forwarded-Client-Cert"}},
		{fault: "another proxy's format", source: behind(proxy.RFC9440(), "127.0.0.0/8"), plain: true, header: header,
			says: []string{"has sent none of Client-Cert", "the request has X-Forwarded-Client-Cert"}},
		{fault: "neither the proxy nor a header", source: behind(proxy.Envoy(), "10.0.0.0/8"), plain: true,
			says: []string{"is no proxy by the trust rule, and has come without TLS: add its address"}},
	} {
		var log bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&log, nil))
		g := l.Guard(func(o *popauth.Options) { o.Logger, o.Certificate = logger, row.source })
		for place, wrap := range map[string]func(http.Handler) http.Handler{
			"Confirm": g.Confirm,
			// The same of a handler further out, which has removed the headers.
			"Confirm inside": lab.Chain(popauth.ClientCertificate(sourceOr(row.source)),
				l.Guard(func(o *popauth.Options) { o.Logger = logger }).Confirm),
			"Require": lab.Chain(popauth.RequestLine{Logger: logger}.Handler, clientcert.Require(row.source)),
		} {
			log.Reset()
			status := serveOnce(t, wrap, row.plain, row.auth, token, row.header)
			if status != http.StatusUnauthorized && status != http.StatusForbidden {
				t.Errorf("%s, %s: got %d", row.fault, place, status)
			}
			checkLine(t, row.fault+", "+place, log.String(), row.says)
			if place == "Confirm" {
				_, _ = all.WriteString(row.fault + "\n\t" + log.String())
				_, why, _ := strings.Cut(log.String(), "error=")
				if other := seen[why]; other != "" {
					t.Errorf("%s has the line of %s", row.fault, other)
				}
				seen[why] = row.fault
			}
		}
	}
	keepLines(t, &all)
}

func sourceOr(source popauth.CertificateSource) popauth.CertificateSource {
	if source == nil {
		return popauth.TLSCertificate()
	}
	return source
}

// serveOnce sends one request over a connection of its own, by a client without a certificate.
func serveOnce(t *testing.T, wrap func(http.Handler) http.Handler, plain bool, auth tls.ClientAuthType, token string,
	header http.Header) int {
	t.Helper()
	spy := &popauthtest.Spy{}
	s := httptest.NewUnstartedServer(wrap(spy))
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS12, ClientAuth: auth}
	s.Config.TLSConfig = s.TLS
	if plain {
		s.Start()
	} else {
		s.StartTLS()
	}
	defer s.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/orders", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, lines := range header {
		r.Header[name] = lines
	}
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if spy.Ran() > 0 {
		t.Error("the handler ran")
	}
	return answer.StatusCode
}

// Whoever configures no Logger sees why, in slog's default; one who discards sees nothing.
func TestLogByDefault(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	l := lab.New(t)
	g := l.Guard(func(o *popauth.Options) { o.Logger = nil })
	silent := l.Guard(func(o *popauth.Options) { o.Logger = slog.New(slog.DiscardHandler) })
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil))) // after New: it counts all the same
	r := l.Owner.Request("GET", "/orders", "")
	lab.Send(silent.Confirm, r)
	if log.Len() > 0 {
		t.Errorf("discarded: got %s", &log)
	}
	for name, wrap := range map[string]func(http.Handler) http.Handler{
		"Guard": g.Confirm, "no Guard": (*popauth.Guard)(nil).Confirm, "Require": clientcert.Require(nil),
	} {
		log.Reset()
		lab.Send(wrap, httptest.NewRequest(http.MethodGet, "/orders", http.NoBody))
		if !strings.Contains(log.String(), "request refused") {
			t.Errorf("%s: got %q, want a line", name, &log)
		}
	}
}

// A flood of one reason is sampled, with a count, and hides no other reason.
func TestFloodIsSampled(t *testing.T) {
	for _, tt := range []struct {
		name       string
		perMinute  int
		lines, all int
	}{
		{name: "by default", lines: 60, all: 500},
		{name: "set", perMinute: 3, lines: 3, all: 500},
		{name: "all", perMinute: -1, lines: 500, all: 500},
	} {
		var log bytes.Buffer
		l := lab.New(t)
		g := l.Guard(func(o *popauth.Options) {
			o.Logger, o.LogPerMinute = slog.New(slog.NewTextHandler(&log, nil)), tt.perMinute
		})
		log.Reset() // of what New has warned of
		for range tt.all {
			lab.Send(g.Confirm, l.Owner.Request("GET", "/orders", "x"))
		}
		if got := strings.Count(log.String(), "\n"); got != tt.lines {
			t.Errorf("%s: got %d lines, want %d", tt.name, got, tt.lines)
		}
		log.Reset()
		lab.Send(g.Confirm, l.Thief.Request("GET", "/orders", l.Bound()))
		if !strings.Contains(log.String(), "code=certificate_mismatch") {
			t.Errorf("%s: the thief isn't logged: got %s", tt.name, &log)
		}
	}
}

// A flood at a door of the program, or at a Guard that isn't there, is sampled, too. It is one of long ago, so that it takes no line
// from other tests.
func TestFloodOfStraysIsSampled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		before := slog.Default()
		t.Cleanup(func() { slog.SetDefault(before) })
		slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
		door := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { popauth.Refuse(w, r, popauth.ErrForbidden) })
		none := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			(*popauth.Guard)(nil).Refuse(w, r, popauth.ErrForbidden)
		})
		observed := popauth.RequestLine{Observe: func(context.Context, popauth.Observation) {}}
		for name, h := range map[string]http.Handler{
			"a door": door, "no Guard's Refuse": none, "no Guard": (*popauth.Guard)(nil).Confirm(door),
			"zero Guard": new(popauth.Guard).Confirm(door), "inside a line without a Logger": observed.Handler(door),
		} {
			log.Reset()
			for range 500 {
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/orders", http.NoBody))
			}
			if got := strings.Count(log.String(), "\n"); got > 60 {
				t.Errorf("%s: got %d lines, want 60 at most", name, got)
			}
		}
	})
}

// With everything required no route takes an unbound token; announced, it passes and is logged once for each client.
func TestBindingRule(t *testing.T) {
	var log bytes.Buffer
	l := lab.New(t)
	for _, tt := range []struct {
		name          string
		rule          popauth.BindingRule
		bearer, thief int
		lines         int
	}{
		{name: "by route", rule: popauth.BindingByRoute, bearer: http.StatusOK, thief: http.StatusUnauthorized},
		{name: "announced", rule: popauth.BindingAnnounced, bearer: http.StatusOK, thief: http.StatusUnauthorized, lines: 2},
		{name: "required", rule: popauth.BindingRequired, bearer: http.StatusUnauthorized, thief: http.StatusUnauthorized},
	} {
		log.Reset()
		g := l.Guard(func(o *popauth.Options) { o.Logger, o.Binding = slog.New(slog.NewTextHandler(&log, nil)), tt.rule })
		for range 3 {
			for _, client := range []string{"a", "b"} {
				if got := lab.Send(g.Authenticate,
					l.Thief.Request("GET", "/orders", l.Unbound(popauthtest.Claims{"client_id": client}))); got.Status != tt.bearer {
					t.Errorf("%s: unbound: got %d, want %d", tt.name, got.Status, tt.bearer)
				}
			}
		}
		if got := strings.Count(log.String(), "token not bound: it will be refused"); got != tt.lines {
			t.Errorf("%s: got %d lines, want %d: %s", tt.name, got, tt.lines, &log)
		}
		if got := lab.Send(g.Authenticate, l.Thief.Request("GET", "/orders", l.Bound())); got.Status != tt.thief || got.Ran {
			t.Errorf("%s: thief: got %d", tt.name, got.Status)
		}
		lab.Send(g.Authenticate, l.Owner.Request("GET", "/orders", l.Bound())).Passed(t)
	}
	if _, err := popauth.New(popauth.Options{Issuer: l.Issuer.URL, Audience: []string{"a"}, Binding: 3}); err == nil ||
		!strings.Contains(err.Error(), "Options.Binding") {
		t.Errorf("another rule: got %v", err)
	}
}

// Preload finds a wrong issuer at start, and names both; Ready says when there are keys.
func TestPreload(t *testing.T) {
	l := lab.New(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	g := l.Guard()
	if g.Ready() {
		t.Error("ready without keys")
	}
	if err := g.Preload(ctx); err != nil || !g.Ready() {
		t.Errorf("got %v, ready %t", err, g.Ready())
	}
	wrong := l.Issuer.URL + "/"
	keys, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{Issuer: wrong, Client: l.Issuer.Client()})
	if err != nil {
		t.Fatal(err)
	}
	other := l.Guard(func(o *popauth.Options) { o.Issuer, o.Keys = wrong, keys })
	err = other.Preload(ctx)
	if err == nil || !strings.Contains(err.Error(), `"`+l.Issuer.URL+`"`) || !strings.Contains(err.Error(), `"`+wrong+`"`) ||
		other.Ready() {
		t.Errorf("got %v, want both issuers", err)
	}
	var none *popauth.Guard
	if err := none.Preload(ctx); !errors.Is(err, popauth.ErrUnconfigured) || none.Ready() {
		t.Errorf("no Guard: got %v, ready %t", err, none.Ready())
	}
}
