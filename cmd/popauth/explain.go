package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-171ab058/popauth"
)

// question is what explain is asked.
type question struct {
	issuer, jwks, authorities string
	audience, types, scopes   []string
	cert, proof, scheme       string
	method, url               string
	at                        string
	confirm                   bool
	request                   string
	entry                     int
	format, header, verify    string
}

func newExplain() *cobra.Command {
	var q question
	c := &cobra.Command{
		Use:   "explain --issuer ISSUER --audience API [flags] TOKEN|FILE|-|--request FILE",
		Short: "Say check by check whether an API with popauth would take a token, and why not",
		Long: "explain asks the very decision of a Guard. After a check that fails it goes on as if that had not, to say what would " +
			"come next.\n" +
			"With --jwks nothing is asked of anybody; without it the keys are fetched from the issuer.\n" +
			"A token in the arguments is in the process list: better give a file, or - for standard input.",
		Example: "  popauth explain --issuer https://id.example.com --audience https://api.example.com --cert client.crt token.txt\n" +
			"  popauth explain --issuer https://id.example.com --audience https://api.example.com --request request.har --entry 3",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if q.request != "" {
				return q.explainRequest(c.Context(), c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr(), args, c.Flags())
			}
			if len(args) == 0 {
				return errors.New("no token: give it, a file with it, - for standard input, or --request FILE")
			}
			if q.entry != 0 || q.format != "" {
				return errors.New("--entry and --proxy-format are for the request of --request FILE")
			}
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
	f.StringVar(&q.request, "request", "", "file with a whole request, or -: raw HTTP, HAR, or a curl command, which is not run")
	f.IntVar(&q.entry, "entry", 0, "the entry of a HAR file, from 1")
	f.StringVar(&q.format, "proxy-format", "", "proxy whose headers in the request have the certificate: nginx, envoy, … ; ? lists them")
	f.StringVar(&q.header, "header", "X-SSL-Client-Cert", "header with the certificate, where the format lets you name it")
	f.StringVar(&q.verify, "verify-header", "X-SSL-Client-Verify", "header with the proxy's verdict, likewise; empty: there is none")
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
	return s.explain(ctx, out)
}

func (s *setting) explain(ctx context.Context, out io.Writer) error {
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
	printChecks(w, failed, whole, s.skipped(s.token))
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

// moot says which checks have nothing to look at, after what has failed.
func moot(failed []*popauth.Error, skipped map[string]string) map[string]string {
	all := maps.Clone(skipped)
	for _, e := range failed {
		switch e.Reason {
		case popauth.ErrTokenKey, popauth.ErrUnavailable:
			all["signature"] = "no key to check it by"
		case popauth.ErrProofMissing, popauth.ErrProofMalformed:
			for _, c := range checks {
				if strings.HasSuffix(c.name, "of the proof") {
					all[c.name] = "no proof that can be read"
				}
			}
		}
	}
	return all
}

func printChecks(w *table, failed []*popauth.Error, whole bool, skipped map[string]string) {
	skipped = moot(failed, skipped)
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
