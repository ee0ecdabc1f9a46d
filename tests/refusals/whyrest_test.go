package refusals_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// changed is a request of the owner, with a change.
func (l whyLab) changed(change func(*http.Request)) func() *http.Request {
	return func() *http.Request {
		r := l.Owner.Request("GET", "/orders", l.Bound())
		change(r)
		return r
	}
}

// allowing is a stage with these policies.
func allowing(policies ...popauth.Policy) func(*popauth.Guard) func(http.Handler) http.Handler {
	return func(g *popauth.Guard) func(http.Handler) http.Handler { return g.Authorize(policies...) }
}

// refusingBy is a policy that refuses for this reason.
func refusingBy(err error) func(*popauth.Guard) func(http.Handler) http.Handler {
	return allowing(popauth.PolicyFunc(func(*http.Request, *popauth.Principal) error { return err }))
}

// verifying is a Guard of a program's own Verifier, which refuses everything.
func verifying(err error) func(*popauth.Options) {
	return func(o *popauth.Options) {
		*o = popauth.Options{Verifier: refusingVerifier{err}, Logger: o.Logger}
	}
}

type refusingVerifier struct{ err error }

func (v refusingVerifier) Verify(context.Context, string) (*popauth.Token, error) { return nil, v.err }

func (l whyLab) requestRows() []whyRow {
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	return []whyRow{
		{fault: "dots in the path", request: l.changed(func(r *http.Request) { r.RequestURI, r.URL.Path = "/a/../orders", "/a/../orders" }),
			says: []string{"code=request_line", "dot segment", "the client has to send another path"}},
		{fault: "0-RTT", request: l.changed(func(r *http.Request) { r.Header.Set("Early-Data", "1") }),
			says: []string{"code=early_data", "marked Early-Data by what ends TLS"}},
		{fault: "an unknown scheme, which may be a secret", request: l.with("s3cr3t x"),
			says: []string{"code=credentials_missing", `got="an unknown one"`, `want="` + `"Bearer"`}},
		{fault: "the client has gone", options: verifying(errors.New("no answer: context canceled")),
			request: l.changed(func(r *http.Request) { *r = *r.WithContext(gone) }), says: []string{"code=token_invalid"}},
		{fault: "the client has gone, while something was asked", options: verifying(popauth.Unavailable(gone, errors.New("asking"))),
			request: l.changed(func(r *http.Request) { *r = *r.WithContext(gone) }), says: []string{"code=request_ended", "asking"}},
		{fault: "the Verifier says no", options: verifying(errors.New("not active")), request: l.get(l.Bound()),
			says: []string{"code=token_invalid", `error="not active"`}},
		{fault: "a flood", options: verifying(popauth.ErrOverloaded), request: l.get(l.Bound()),
			says: []string{"level=WARN", "code=overloaded"}},
		{fault: "iss in another case", request: l.get(l.Bound(popauthtest.Claims{"iss": strings.ToUpper(l.Issuer.URL)})),
			says: []string{"code=token_issuer", "only the case differs"}},
		{fault: "a JWT-SVID with iss", options: l.svids(), request: l.get(l.Bound(popauthtest.Claims{"iss": "https://other.example.com"})),
			says: []string{"code=token_issuer", `want=none`, "a JWT-SVID has none"}},
		{fault: "not yet valid, without an end", options: l.endless(), request: l.get(l.Bound(popauthtest.Claims{
			"exp": popauthtest.Omit, "nbf": l.Clock.Now().Unix() + 600})),
			says: []string{"code=token_not_yet_valid", "what=nbf", "10m0s ahead of this clock"}},
	}
}

// verifiedBy is a Guard of JWTs with these options.
func (l whyLab) verifiedBy(change func(*popauth.JWTOptions)) func(*popauth.Options) {
	return func(o *popauth.Options) {
		own := popauth.JWTOptions{Issuer: l.Issuer.URL, Audience: []string{popauthtest.Audience}, Keys: foreignKeys{o.Keys},
			Now: l.Clock.Now}
		change(&own)
		v, err := popauth.NewJWTVerifier(own)
		if err != nil {
			panic(err)
		}
		*o = popauth.Options{Verifier: v, Logger: o.Logger, Now: l.Clock.Now}
	}
}

// foreignKeys are of no issuer in particular.
type foreignKeys struct{ popauth.KeySource }

func (l whyLab) endless() func(*popauth.Options) {
	return l.verifiedBy(func(o *popauth.JWTOptions) { o.AllowMissingExpiration = true })
}

func (l whyLab) svids() func(*popauth.Options) {
	return l.verifiedBy(func(o *popauth.JWTOptions) { o.JWTSVIDs, o.Issuer = true, "spiffe://example.org" })
}

func (l whyLab) bindingRows() []whyRow {
	var nobody *popauthtest.Client
	open := l.proofs(dpop.Options{BaseURL: "https://api.example.com"})
	return []whyRow{
		{fault: "an empty cnf", request: l.get(l.Issuer.Token(popauthtest.Claims{"cnf": popauthtest.Claims{}})),
			says: []string{"code=binding_malformed", "no member"}},
		{fault: "a Confirmer of the program's", options: func(o *popauth.Options) {
			o.Confirmers = []popauth.Confirmer{absentDenier{errors.New("the card is blocked")}}
		}, request: l.get(l.Bound()), says: []string{"code=binding_unconfirmed", `error="the card is blocked"`}},
		{fault: "bound to a certificate, sent under DPoP", options: open, request: func() *http.Request {
			return l.key.Request("GET", lab.DPoPURL, l.Bound())
		}, says: []string{"code=binding_scheme", `bound by "x5t#S256" alone, and not by DPoP`}},
		{fault: "another binding than the resource asks for", options: func(o *popauth.Options) {
			open(o)
			o.Resource = popauth.Resource{ID: "https://api.example.com", DPoPRequired: true}
		}, request: l.get(l.Bound()), says: []string{"code=binding_missing", `got="` + `"x5t#S256"`, `want="` + `"jkt"`}},
		{fault: "a thief behind a proxy", options: func(o *popauth.Options) {
			o.Certificate = lab.ByProxy(proxy.Traefik(), proxy.TrustPeers(netip.MustParsePrefix("10.0.0.0/8")))
		}, request: func() *http.Request {
			return l.Thief.RequestVia(proxy.Traefik(), "10.0.0.1:1", "GET", "/orders", l.Bound())
		},
			says: []string{"code=certificate_mismatch", "of the certificate that the proxy has forwarded",
				`want="` + `"` + l.Owner.Thumbprint() + `" of the token's cnf`}},
		{fault: "no certificate where a policy needs one", stage: allowing(clientcert.Policy(clientcert.DNS("a.example.com"))),
			request: func() *http.Request { return nobody.Request("GET", "/orders", l.Unbound()) },
			says:    []string{"code=forbidden", `error="no certificate"`}},
		{fault: "nobody has verified it", stage: allowing(clientcert.Policy(clientcert.DNS("a.example.com"))), request: l.get(l.Bound()),
			says: []string{"code=forbidden", `error="nobody has verified it"`}},
		{fault: "no certificate on a route that needs one", stage: refusingBy(popauth.ErrCertificateRequired),
			request: func() *http.Request { return nobody.Request("GET", "/orders", l.Unbound()) },
			says:    []string{"code=certificate_required", "the connection's client has shown none", "client=client-1"}},
		{fault: "an authority that isn't in the roots", options: func(o *popauth.Options) {
			o.Certificate = lab.Verified(l, clientcert.Verification{Roots: popauthtest.NewCA(l).Pool()})
		}, request: l.get(l.Bound()), says: []string{"code=certificate_untrusted", "unknown authority"}},
	}
}

func (l whyLab) proofFaultRows() []whyRow {
	bound := l.Issuer.Token(l.key.Bound())
	open := l.proofs(dpop.Options{BaseURL: "https://api.example.com"})
	send := func(change func(*http.Request)) func() *http.Request {
		return func() *http.Request {
			r := l.key.Request("GET", lab.DPoPURL, bound)
			change(r)
			return r
		}
	}
	few, err := dpop.NewReplayMemory(dpop.ReplayMemoryOptions{PerKey: 1, Now: l.Clock.Now})
	if err != nil {
		l.Fatal(err)
	}
	used := l.key.Request("GET", lab.DPoPURL, bound)
	after := func(first *http.Request) func(*popauth.Guard) func(http.Handler) http.Handler {
		return func(g *popauth.Guard) func(http.Handler) http.Handler {
			if _, err := g.Check(first); err != nil {
				l.Error(err)
			}
			return g.Confirm
		}
	}
	return []whyRow{
		{fault: "two proofs", options: open, request: send(func(r *http.Request) { r.Header["Dpop"] = []string{"a", "b"} }),
			says: []string{"code=proof_malformed", "more than one DPoP header"}},
		{fault: "proof by another algorithm", options: l.proofs(dpop.Options{BaseURL: "https://api.example.com",
			Algorithms: []string{"ES384"}}),
			request: send(func(*http.Request) {}), says: []string{"code=proof_algorithm", `"ES256"`, `"ES384"`, "dpop.Options.Algorithms"}},
		{fault: "forged proof", options: open, request: send(func(r *http.Request) { r.Header.Set("Dpop", forged(r.Header.Get("Dpop"))) }),
			says: []string{"code=proof_signature"}},
		{fault: "no nonce", options: l.proofs(dpop.Options{BaseURL: "https://api.example.com", Nonces: lab.Nonces(lab.NonceSecret(1))}),
			request: send(func(*http.Request) {}), says: []string{"code=nonce_required"}},
		{fault: "proof for the token before", options: open, request: send(func(r *http.Request) {
			r.Header.Set("Dpop", l.key.Proof("GET", lab.DPoPURL, "the token before"))
		}), says: []string{"code=proof_token", "ath"}},
		{fault: "proof sent again", options: open, stage: after(used),
			request: func() *http.Request { return used.Clone(context.Background()) }, says: []string{"code=proof_replayed"}},
		{fault: "more proofs than there is room for", options: l.proofs(dpop.Options{BaseURL: "https://api.example.com", Replay: few}),
			stage: after(l.key.Request("GET", lab.DPoPURL, bound)), request: send(func(*http.Request) {}),
			says: []string{"code=proof_limit"}},
	}
}

func (l whyLab) restRows() []whyRow {
	nginx := proxy.Nginx("X-SSL-Client-Cert", "X-SSL-Client-Verify")
	behind := func(o *popauth.Options) {
		o.Certificate = lab.ByProxy(nginx, proxy.TrustPeers(netip.MustParsePrefix("10.0.0.0/8")),
			proxy.TrustSecret("X-Proxy-Secret", "0123456789abcdef"))
	}
	via := func(secret, cert string) func() *http.Request {
		return func() *http.Request {
			r := l.Owner.RequestVia(nginx, "10.0.0.1:1", "GET", "/orders", l.Bound())
			r.Header.Set("X-Proxy-Secret", secret)
			if cert != "" {
				r.Header.Set("X-Ssl-Client-Cert", cert)
			}
			return r
		}
	}
	return []whyRow{
		{fault: "authenticated too weakly", stage: allowing(popauth.ACR("phr")), request: l.get(l.Bound(popauthtest.Claims{"acr": "pwd"})),
			says: []string{"code=step_up", "what=acr", `"pwd"`, `"phr"`}},
		{fault: "authorization details missing", stage: allowing(popauth.AuthorizationDetails("order",
			func(*http.Request, struct{}) error { return nil })), request: l.get(l.Bound()), says: []string{"code=authorization_details"}},
		{fault: "another caller's session", stage: refusingBy(popauth.ErrSessionOwner), request: l.get(l.Bound()),
			says: []string{"code=session_owner", "status=404"}},
		{fault: "a name of nobody's in particular", stage: refusingBy(popauth.ErrIssuerUnsaid), request: l.get(l.Bound()),
			says: []string{"code=issuer_unsaid"}},
		{fault: "the certificate is revoked", stage: refusingBy(popauth.ErrCertificateRevoked), request: l.get(l.Bound()),
			says: []string{"code=certificate_revoked"}},
		{fault: "a connection for another host", stage: refusingBy(popauth.ErrMisdirected), request: l.get(l.Bound()),
			says: []string{"code=misdirected", "status=421"}},
		{fault: "another request's context", stage: refusingBy(popauth.ErrAnotherRequest), request: l.get(l.Bound()),
			says: []string{"code=another_request"}},
		{fault: "the proxy's account is malformed", stage: refusingBy(popauth.ErrForwardedRequest), request: l.get(l.Bound()),
			says: []string{"code=forwarded_request"}},
		{fault: "the request came past the proxy", stage: refusingBy(popauth.ErrPeerUntrusted), request: l.get(l.Bound()),
			says: []string{"code=peer_untrusted"}},
		{fault: "no stage around it", stage: refusingBy(popauth.ErrUndecided), request: l.get(l.Bound()), says: []string{"code=undecided"}},
		{fault: "the error of New was ignored", stage: func(g *popauth.Guard) func(http.Handler) http.Handler {
			return g.Authorize(popauth.PolicyFunc(func(r *http.Request, _ *popauth.Principal) error {
				_, err := new(popauth.Guard).Check(r)
				return err
			}))
		}, request: l.get(l.Bound()), says: []string{"level=WARN", "code=unconfigured"}},
		{fault: "a certificate that nobody can read", options: behind, request: via("0123456789abcdef", "x"),
			says: []string{"code=certificate_malformed", "X-Ssl-Client-Cert"}},
		{fault: "a huge certificate", options: behind, request: via("0123456789abcdef", strings.Repeat("A", 100<<10)),
			says: []string{"code=certificate_too_large"}},
		{fault: "another secret of the proxy's", options: behind, request: via("x", ""), says: []string{"code=proxy_secret"}},
	}
}

// keysOf has the keys found in another way than the lab's.
func (l whyLab) keysOf(o popauth.RemoteKeysOptions) func(*popauth.Options) {
	return func(p *popauth.Options) {
		keys, err := popauth.NewRemoteKeys(o)
		if err != nil {
			l.Fatal(err)
		}
		p.Issuer, p.Keys = o.Issuer, keys
	}
}

func (l whyLab) keyRows() []whyRow {
	slash := l.Issuer.URL + "/"
	return []whyRow{
		{fault: "issuer with a private authority", options: l.keysOf(popauth.RemoteKeysOptions{Issuer: l.Issuer.URL}),
			request: l.get(l.Bound()), says: []string{"level=WARN", "code=unavailable", "certificate signed by unknown authority"}},
		{fault: "metadata of another issuer", options: l.keysOf(popauth.RemoteKeysOptions{Issuer: slash, Client: l.Issuer.Client()}),
			request: l.get(l.Bound(popauthtest.Claims{"iss": slash})),
			says:    []string{"level=WARN", "code=unavailable", "of another issuer"}},
		{fault: "metadata elsewhere", options: l.keysOf(popauth.RemoteKeysOptions{Issuer: l.Issuer.URL, Client: l.Issuer.Client(),
			MetadataURL: l.Issuer.URL + "/nowhere"}),
			request: l.get(l.Bound()), says: []string{"level=WARN", "code=unavailable", "status 404"}},
	}
}

// Every code has a fault whose line is produced here, or in TestLineSaysWhy, and stands in docs/refusals.md.
func TestEveryCodeHasALine(t *testing.T) {
	l := whyLab{Lab: lab.New(t)}
	l.key = popauthtest.NewProofKey(t, "ES256")
	l.key.Now = l.Clock.Now
	rows := slices.Concat(l.requestRows(), l.bindingRows(), l.proofFaultRows(), l.restRows(), l.keyRows())
	var all bytes.Buffer
	for _, row := range rows {
		line := l.lineOf(t, row)
		checkLine(t, row.fault, line, row.says)
		_, _ = all.WriteString(row.fault + "\n\t" + line)
	}
	keepLines(t, &all)
	rows = slices.Concat(rows, l.tokenRows(), l.credentialRows(), l.proofRows(), l.policyRows(),
		[]whyRow{{says: []string{"code=certificate_missing"}}}) // TestLineSaysWhyNoCertificate has seven
	page, err := os.ReadFile("../../docs/refusals.md")
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, row := range rows {
		for _, s := range row.says {
			said = append(said, strings.TrimPrefix(s, "code="))
		}
	}
	entries := regexp.MustCompile(`(?m)^### (\w+)$`).FindAllStringSubmatch(string(page), -1)
	for _, m := range entries {
		if !slices.Contains(said, m[1]) {
			t.Errorf("no fault here has a line with code=%s", m[1])
		}
	}
	if len(rows) < 80 || len(entries) < 50 {
		t.Errorf("got %d faults and %d codes, want more", len(rows), len(entries))
	}
}

// lineOf is what the log has of a row's request, which doesn't reach the handler.
func (l whyLab) lineOf(t *testing.T, row whyRow) string {
	t.Helper()
	var log bytes.Buffer
	g := l.Guard(func(o *popauth.Options) {
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		if row.options != nil {
			row.options(o)
		}
	})
	stage := g.Confirm
	if row.stage != nil {
		stage = row.stage(g)
	}
	log.Reset() // of what New has warned of
	if out := lab.Send(stage, row.request()); out.Ran {
		t.Errorf("%s: the handler ran", row.fault)
	}
	return log.String()
}
