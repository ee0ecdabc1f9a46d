package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
)

// question is what explain is asked.
type question struct {
	issuer, jwks, authorities string
	audience, types, scopes   []string
	cert, proof, scheme       string
	method, url               string
	at                        string
	confirm                   bool
}

func newExplain() *cobra.Command {
	var q question
	c := &cobra.Command{
		Use:   "explain --issuer ISSUER --audience API [flags] TOKEN|FILE|-",
		Short: "Say check by check whether an API with popauth would take a token, and why not",
		Long: "explain asks the very decision of a Guard. After a check that fails it goes on as if that had not, to say what would " +
			"come next.\n" +
			"With --jwks nothing is asked of anybody; without it the keys are fetched from the issuer.\n" +
			"A token in the arguments is in the process list: better give a file, or - for standard input.",
		Example: "  popauth explain --issuer https://id.example.com --audience https://api.example.com --cert client.crt token.txt\n" +
			"  popauth explain --issuer https://id.example.com --audience https://api.example.com --jwks keys.json \\\n" +
			"    --proof proof.txt --method GET --url https://api.example.com/orders token.txt",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			token, err := valueOf(args[0], c.InOrStdin())
			if err != nil {
				return err
			}
			return q.explain(c.Context(), c.OutOrStdout(), string(bytes.TrimSpace(token)))
		},
	}
	f := c.Flags()
	f.StringVar(&q.issuer, "issuer", "", "the issuer that the API expects, to the letter (required)")
	f.StringSliceVar(&q.audience, "audience", nil, "the API's names, of which the token's aud must have one (required)")
	f.StringVar(&q.jwks, "jwks", "", "file with the issuer's JWK Set: nothing is fetched")
	f.StringVar(&q.authorities, "ca", "", "file with the authorities of the issuer's own certificate, in PEM")
	f.StringSliceVar(&q.types, "typ", nil, "the header's typ that the API takes (default at+jwt, application/at+jwt, JWT)")
	f.StringSliceVar(&q.scopes, "scope", nil, "scopes that the route asks for")
	f.StringVar(&q.cert, "cert", "", "file with the certificate that the caller presents")
	f.StringVar(&q.proof, "proof", "", "DPoP proof, or a file with it")
	f.StringVar(&q.scheme, "scheme", "", "scheme of the Authorization header (default Bearer, with --proof DPoP)")
	f.StringVar(&q.method, "method", http.MethodGet, "the request's method")
	f.StringVar(&q.url, "url", "", "the request's URL, as its client calls it")
	f.StringVar(&q.at, "at", "", "the time of the request, as 2006-01-02T15:04:05Z (default now)")
	f.BoolVar(&q.confirm, "bound", true, "the route demands a bound token, as Confirm does")
	for _, name := range []string{"issuer", "audience"} {
		if err := c.MarkFlagRequired(name); err != nil {
			panic(err)
		}
	}
	return c
}

// checks are what a Guard checks, in its order, with the reasons by which each refuses.
var checks = []check{
	{"request line", []popauth.Reason{popauth.ErrRequestLine, popauth.ErrEarlyData}},
	{"credentials", []popauth.Reason{popauth.ErrCredentialsMissing, popauth.ErrCredentialsMalformed}},
	{"form of the token", []popauth.Reason{popauth.ErrTokenMalformed}},
	{"kind of token", []popauth.Reason{popauth.ErrTokenType}},
	{"algorithm", []popauth.Reason{popauth.ErrTokenAlgorithm}},
	{"issuer", []popauth.Reason{popauth.ErrTokenIssuer}},
	{"key", []popauth.Reason{popauth.ErrTokenKey, popauth.ErrUnavailable}},
	{"signature", []popauth.Reason{popauth.ErrTokenSignature}},
	{"audience", []popauth.Reason{popauth.ErrTokenAudience}},
	{"time", []popauth.Reason{popauth.ErrTokenExpired, popauth.ErrTokenNotYetValid}},
	{"form of cnf", []popauth.Reason{popauth.ErrBindingMalformed, popauth.ErrBindingUnknown}},
	{"scheme", []popauth.Reason{popauth.ErrBindingScheme}},
	{"certificate", []popauth.Reason{popauth.ErrCertificateMissing, popauth.ErrCertificateMismatch}},
	{"form of the proof", []popauth.Reason{popauth.ErrProofMissing, popauth.ErrProofMalformed, popauth.ErrProofAlgorithm}},
	{"key of the proof", []popauth.Reason{popauth.ErrProofKey, popauth.ErrProofSignature}},
	{"target of the proof", []popauth.Reason{popauth.ErrProofTarget}},
	{"time of the proof", []popauth.Reason{popauth.ErrProofTime}},
	{"token of the proof", []popauth.Reason{popauth.ErrProofToken}},
	{"bound", []popauth.Reason{popauth.ErrBindingMissing}},
	{"scope", []popauth.Reason{popauth.ErrScope}},
}

// explain prints the decision. The error is of type refusedError where the request would be refused.
func (q question) explain(ctx context.Context, out io.Writer, token string) error {
	s, err := q.setting(token)
	if err != nil {
		return err
	}
	var failed []*popauth.Error
	whole := false // every check was reached
	for range 2 * len(checks) {
		e, err := s.decide(ctx)
		if err != nil {
			return err
		}
		if whole = e == nil; whole {
			break
		}
		failed = append(failed, e)
		if !s.overlook(e) {
			break
		}
	}
	w := newTable(out)
	printChecks(w, failed, whole, s.skipped(token))
	if err := w.flush(); err != nil {
		return err
	}
	if len(failed) == 0 {
		_, err := fmt.Fprintln(out, "passes: the handler would run")
		return err
	}
	first := failed[0]
	return refusedError{fmt.Errorf("refused: %s, status %d: %s; see docs/refusals.md#%s",
		first.Reason.Code(), first.Status(), shown(first.Reason.Error()), first.Reason.Code())}
}

// skipped says which checks nobody makes for this token, and why.
func (s *setting) skipped(token string) map[string]string {
	all := map[string]string{}
	p, err := splitJWT(token)
	if err != nil {
		return all
	}
	cnf, _ := p.claims["cnf"].(map[string]any)
	if cnf["x5t#S256"] == nil {
		all["certificate"] = "cnf has no x5t#S256"
	}
	if cnf["jkt"] == nil {
		for _, c := range checks {
			if strings.HasSuffix(c.name, "of the proof") {
				all[c.name] = "cnf has no jkt"
			}
		}
	}
	if s.unverifiable {
		all["key"], all["signature"] = "no key verifies such an algorithm", "no key verifies such an algorithm"
	}
	if !s.asked.bound {
		all["bound"] = "the route takes unbound tokens"
	}
	if len(s.asked.scopes) == 0 {
		all["scope"] = "the route asks for none"
	}
	return all
}

// check is one of what a Guard checks, with the reasons by which it refuses.
type check struct {
	name    string
	reasons []popauth.Reason
}

func (c check) of(e *popauth.Error) bool { return slices.Contains(c.reasons, e.Reason) }

func printChecks(w *table, failed []*popauth.Error, whole bool, skipped map[string]string) {
	last := len(checks)
	if len(failed) > 0 && !whole {
		last = slices.IndexFunc(checks, func(c check) bool { return c.of(failed[len(failed)-1]) })
	}
	for i, c := range checks {
		at := slices.IndexFunc(failed, c.of)
		switch {
		case at == 0:
			printFailure(w, c.name, failed[at])
		case at > 0:
			printFailure(w, c.name+", next", failed[at])
		case i > last:
			w.line("-", "%s: not reached", c.name)
		case skipped[c.name] != "":
			w.line("-", "%s: %s", c.name, skipped[c.name])
		default:
			w.line("✓", "%s", c.name)
		}
	}
	for _, e := range failed {
		if !slices.ContainsFunc(checks, func(c check) bool { return c.of(e) }) {
			printFailure(w, e.Reason.Code(), e)
		}
	}
}

func printFailure(w *table, name string, e *popauth.Error) {
	w.line("✗", "%s: %s", name, e.Reason)
	var m *popauth.Mismatch
	switch {
	case errors.As(e.Err, &m):
		w.line("", "  %s: got %s", m.What, m.Got)
		w.line("", "  want %s", m.Want)
		if m.Advice != "" {
			w.line("", "  %s", m.Advice)
		}
	case e.Err != nil:
		w.line("", "  %v", e.Err)
	}
}

// setting is a Guard's options and a request. What fails is overlooked step by step, by another token: one that would not fail there,
// signed by a key of this program's own.
type setting struct {
	options popauth.Options
	request *http.Request
	token   string // as it was given
	bound   bool   // the route demands a bound token
	scopes  []string
	now     time.Time
	signed  *rewritten // nil: the token is as it was given

	asked struct { // what the route demands
		bound  bool
		scopes []string
	}
	unverifiable bool // nobody has looked at the signature
}

func (q question) setting(token string) (*setting, error) {
	s := &setting{token: token, now: time.Now()}
	if q.at != "" {
		at, err := time.Parse(time.RFC3339, q.at)
		if err != nil {
			return nil, fmt.Errorf("--at: %w", err)
		}
		s.now = at
	}
	target := q.url
	if target == "" {
		target = "https://api.example.com/"
	}
	u, err := url.Parse(target)
	if err != nil || u.Host == "" {
		return nil, errors.New("--url: no URL with a host")
	}
	keys, err := q.keys()
	if err != nil {
		return nil, err
	}
	proofs, err := dpop.New(dpop.Options{BaseURL: u.Scheme + "://" + u.Host})
	if err != nil {
		return nil, fmt.Errorf("--url: %w", err)
	}
	s.options = popauth.Options{
		Issuer: q.issuer, Audience: q.audience, Keys: keys, TokenTypes: q.types, Logger: slog.New(slog.DiscardHandler),
		Confirmers: []popauth.Confirmer{popauth.MutualTLS{}, proofs}, Now: func() time.Time { return s.now },
	}
	if s.request, err = q.request(u, token); err != nil {
		return nil, err
	}
	s.bound, s.scopes = q.confirm, q.scopes
	s.asked.bound, s.asked.scopes = q.confirm, q.scopes
	return s, nil
}

func (q question) keys() (popauth.KeySource, error) {
	if q.jwks != "" {
		b, err := readFile(q.jwks, nil)
		if err != nil {
			return nil, err
		}
		keys, err := popauth.StaticKeys(b)
		if err != nil {
			return nil, fmt.Errorf("--jwks: %w", err)
		}
		return keys, nil
	}
	o := popauth.RemoteKeysOptions{Issuer: q.issuer, AllowLoopbackHTTP: true}
	if q.authorities != "" {
		b, err := readFile(q.authorities, nil)
		if err != nil {
			return nil, err
		}
		o.RootCAs = x509.NewCertPool()
		if !o.RootCAs.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("--ca: %s has no certificate in PEM", q.authorities)
		}
	}
	return popauth.NewRemoteKeys(o)
}

// request is what the client sends, as a handler behind TLS gets it.
func (q question) request(u *url.URL, token string) (*http.Request, error) {
	r := httptest.NewRequest(q.method, u.RequestURI(), http.NoBody)
	r.Host = u.Host
	r.TLS = &tls.ConnectionState{HandshakeComplete: true, ServerName: u.Hostname()}
	scheme := q.scheme
	if q.proof != "" {
		b, err := valueOf(q.proof, nil)
		if err != nil {
			return nil, err
		}
		r.Header.Set("DPoP", string(bytes.TrimSpace(b)))
		if scheme == "" {
			scheme = "DPoP"
		}
	}
	if scheme == "" {
		scheme = "Bearer"
	}
	r.Header.Set("Authorization", scheme+" "+token)
	if q.cert != "" {
		m, err := materialOf(context.Background(), q.cert, nil)
		if err == nil && len(m.certificates) == 0 {
			err = errors.New("no certificate in it")
		}
		if err != nil {
			return nil, fmt.Errorf("--cert: %s: %w", q.cert, err)
		}
		r.TLS.PeerCertificates = leafFirst(m.certificates)
	}
	return r, nil
}

// decide asks a Guard; nil if the request would pass.
func (s *setting) decide(ctx context.Context) (*popauth.Error, error) {
	g, err := popauth.New(s.options)
	if err != nil {
		return nil, err
	}
	var policies []popauth.Policy
	if s.bound {
		policies = append(policies, popauth.Bound())
	}
	if len(s.scopes) > 0 {
		policies = append(policies, popauth.Scope(s.scopes...))
	}
	_, err = g.Check(s.request.Clone(ctx), policies...)
	var e *popauth.Error
	if err != nil && !errors.As(err, &e) {
		return nil, err
	}
	return e, nil
}
