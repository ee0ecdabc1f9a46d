package main

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-171ab058/popauth"
)

func newInspect() *cobra.Command {
	return &cobra.Command{
		Use:   "inspect TOKEN|FILE|-",
		Short: "Say what a token, a proof, a JWK Set, metadata or a certificate is",
		Long: "inspect reads an access token, a DPoP proof, a JWK Set, an issuer's metadata, a key or a certificate, and says what is " +
			"odd\n" +
			"about it. It needs no key, and verifies nothing: whoever has made it up is read like anybody else.\n" +
			"A token in the arguments is in the process list: better give a file, or - for standard input.",
		Example: "  popauth inspect - <token.txt\n  popauth inspect keys.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			b, err := valueOf(args[0], c.InOrStdin())
			if err != nil {
				return err
			}
			return inspect(c.OutOrStdout(), b, time.Now())
		},
	}
}

// inspect prints what b is.
func inspect(out io.Writer, b []byte, now time.Time) error {
	b = bytes.TrimSpace(b)
	w := newTable(out)
	var err error
	switch {
	case isToken(b):
		err = inspectJWT(w, string(b), now)
	case len(b) > 0 && b[0] == '{':
		err = inspectObject(w, b)
	default:
		var m material
		if m, err = readMaterial(b); err == nil {
			inspectMaterial(w, m, now)
		} else if errors.Is(err, errNoMaterial) {
			err = errors.New("no JWT, no JSON object, no certificate and no key; an opaque token says nothing by itself")
		}
	}
	if err != nil {
		return err
	}
	return w.flush()
}

func inspectJWT(w *table, token string, now time.Time) error {
	p, err := splitJWT(token)
	if err != nil {
		return err
	}
	proof := strings.EqualFold(text(p.header["typ"]), "dpop+jwt")
	if proof {
		w.line("DPoP proof", "RFC 9449; nothing was verified")
	} else {
		w.line("JWT", "RFC 7519; nothing was verified")
	}
	for _, name := range slices.Sorted(maps.Keys(p.header)) {
		if name == "jwk" {
			jwkLine(w, p.header[name])
			continue
		}
		w.line("  "+name, "%s", plain(p.header[name]))
	}
	w.line("claims", "")
	for _, name := range slices.Sorted(maps.Keys(p.claims)) {
		w.line("  "+name, "%s", claimText(name, p.claims[name], now))
	}
	for _, odd := range oddities(p, proof, now) {
		w.line("odd", "%s", odd)
	}
	return nil
}

func jwkLine(w *table, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		return
	}
	key, err := readJWK(b)
	if err != nil {
		w.line("  jwk", "%v", err)
		return
	}
	jkt, err := jktOf(key)
	if err != nil {
		w.line("  jwk", "%v", err)
		return
	}
	w.line("  jwk", "%s, jkt %s", kindOf(key), jkt)
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// plain is a JSON value as it would be written, a string without its quotes.
func plain(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

// claimText has dates as people read them.
func claimText(name string, v any, now time.Time) string {
	switch name {
	case "exp", "nbf", "iat", "auth_time":
		if at, ok := dateOf(v); ok {
			return fmt.Sprintf("%s, %s", at.UTC().Format(time.RFC3339), relative(at, now))
		}
	}
	return plain(v)
}

func dateOf(v any) (time.Time, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return time.Time{}, false
	}
	f, err := n.Float64()
	if err != nil || f < 0 || f > 1<<40 {
		return time.Time{}, false
	}
	return time.Unix(int64(f), 0), true
}

// relative says how long ago a time was, or when it will be.
func relative(at, now time.Time) string {
	d := now.Sub(at).Round(time.Second)
	if d < 0 {
		return "in " + (-d).String()
	}
	return d.String() + " ago"
}

// oddities are what an API would stumble over, or should.
func oddities(p jwtParts, proof bool, now time.Time) []string {
	var all []string
	add := func(odd bool, format string, args ...any) {
		if odd {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	alg := text(p.header["alg"])
	add(alg == "" || strings.EqualFold(alg, "none"), "alg %q: signed by nobody (RFC 8725, section 3.2)", alg)
	add(strings.HasPrefix(alg, "HS"), "alg %s: whoever can verify it can make it (RFC 8725, section 3.5)", alg)
	if proof {
		for _, name := range []string{"jti", "htm", "htu", "iat"} {
			add(p.claims[name] == nil, "no %s, which a proof needs (RFC 9449, section 4.2)", name)
		}
		add(p.claims["ath"] == nil, "no ath, which a proof needs beside an access token (RFC 9449, section 4.2)")
		add(p.header["jwk"] == nil, "no jwk, so nobody can verify it (RFC 9449, section 4.2)")
		u, err := url.Parse(text(p.claims["htu"]))
		add(err != nil || u.RawQuery != "" || u.Fragment != "", "htu has a query or a fragment (RFC 9449, section 4.2)")
		return all
	}
	typ := text(p.header["typ"])
	add(typ == "", "no typ: nothing but the claims tells it from an ID token (RFC 9068, section 2.1; RFC 8725, section 3.11)")
	add(typ != "" && !strings.EqualFold(strings.TrimPrefix(strings.ToLower(typ), "application/"), "at+jwt"),
		"typ %s: an access token of RFC 9068 has at+jwt", typ)
	for _, name := range []string{"iss", "aud", "exp", "sub", "client_id", "iat", "jti"} {
		add(p.claims[name] == nil, "no %s (RFC 9068, section 2.2)", name)
	}
	if exp, ok := dateOf(p.claims["exp"]); ok {
		add(!exp.After(now), "expired %s", relative(exp, now))
		if iat, ok := dateOf(p.claims["iat"]); ok {
			add(exp.Sub(iat) > 24*time.Hour, "good for %v: a stolen one is, too", exp.Sub(iat))
		}
	}
	cnf, _ := p.claims["cnf"].(map[string]any)
	add(p.claims["cnf"] == nil, "no cnf: a bearer token, good in any hands")
	for name := range cnf {
		add(name != "x5t#S256" && name != "jkt", "cnf has %s, which neither RFC 8705 nor RFC 9449 knows: popauth refuses it without a "+
			"Confirmer", name)
	}
	if _, err := popauth.NewToken(p.claim); err != nil {
		add(true, "read strictly: %v", err)
	}
	return all
}

func inspectObject(w *table, b []byte) error {
	var o map[string]any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&o); err != nil {
		return fmt.Errorf("a JSON object that can't be read: %w", err)
	}
	switch {
	case o["keys"] != nil:
		return inspectKeys(w, b, o["keys"])
	case o["kty"] != nil:
		w.line("JWK", "RFC 7517")
		jwkLine(w, o)
		if o["d"] != nil || o["k"] != nil {
			w.line("odd", "it has the private key, or a shared one: keep it to its owner")
		}
		return nil
	case o["issuer"] != nil || o["resource"] != nil:
		inspectMetadata(w, o)
		return nil
	}
	return errors.New("a JSON object that is no JWK Set, no JWK and no metadata")
}

func inspectKeys(w *table, b []byte, keys any) error {
	list, ok := keys.([]any)
	if !ok {
		return errors.New("keys is no list (RFC 7517, section 5.1)")
	}
	w.line("JWK Set", "RFC 7517, %d keys", len(list))
	for i, v := range list {
		k, _ := v.(map[string]any)
		one, err := json.Marshal(map[string]any{"keys": []any{v}})
		if err != nil {
			return err
		}
		usable := "verifies tokens"
		if _, err := popauth.StaticKeys(one); err != nil {
			usable = "verifies no token: " + strings.TrimPrefix(err.Error(), "popauth: StaticKeys: ")
		}
		w.line(fmt.Sprintf("  key %d", i+1), "kid %s, %s %s, alg %s, use %s: %s", orNone(k["kid"]), orNone(k["kty"]), text(k["crv"]),
			orNone(k["alg"]), orNone(k["use"]), usable)
	}
	if _, err := popauth.StaticKeys(b); err != nil {
		w.line("odd", "%s", strings.TrimPrefix(err.Error(), "popauth: StaticKeys: "))
	}
	return nil
}

func orNone(v any) string {
	if s := text(v); s != "" {
		return s
	}
	return "none"
}

// metadataMembers are what counts for bound tokens (RFC 8414, RFC 8705, RFC 9449, RFC 9728).
var metadataMembers = []string{
	"issuer", "resource", "authorization_servers", "jwks_uri", "token_endpoint", "introspection_endpoint", "mtls_endpoint_aliases",
	"token_endpoint_auth_methods_supported", "tls_client_certificate_bound_access_tokens", "dpop_signing_alg_values_supported",
	"dpop_bound_access_tokens_required",
}

func inspectMetadata(w *table, o map[string]any) {
	w.line("metadata", "RFC 8414, or RFC 9728 of an API")
	for _, name := range metadataMembers {
		if o[name] != nil {
			w.line("  "+name, "%s", plain(o[name]))
		}
	}
	if o["issuer"] == nil {
		return
	}
	if o["tls_client_certificate_bound_access_tokens"] != true && o["dpop_signing_alg_values_supported"] == nil {
		w.line("odd", "it says of no way to bind tokens (RFC 8705, section 3.3; RFC 9449, section 5.1); some servers bind all the same")
	}
}

func inspectMaterial(w *table, m material, now time.Time) {
	for i, c := range leafFirst(m.certificates) {
		name := "certificate"
		if i > 0 {
			name = "issuer"
		}
		w.line(name, "%s", c.Subject)
		w.line("  issued by", "%s", c.Issuer)
		w.line("  from", "%s", claimDate(c.NotBefore, now))
		w.line("  until", "%s", claimDate(c.NotAfter, now))
		for _, s := range alternativeNames(c) {
			w.line("  name", "%s", s)
		}
		w.line("  key", "%s", kindOf(c.PublicKey))
		w.line("  x5t#S256", "%s", x5t(c))
		if now.After(c.NotAfter) || now.Before(c.NotBefore) {
			w.line("odd", "%s is not in force: it confirms a binding all the same, and is no identity (RFC 8705, section 6.2)", c.Subject)
		}
	}
	for _, key := range m.keys {
		jkt, err := jktOf(key)
		if err != nil {
			jkt = err.Error()
		}
		w.line("key", "%s, jkt %s", kindOf(key), jkt)
	}
}

func claimDate(at, now time.Time) string {
	return at.UTC().Format(time.RFC3339) + ", " + relative(at, now)
}

func alternativeNames(c *x509.Certificate) []string {
	all := slices.Concat(c.DNSNames, c.EmailAddresses)
	for _, u := range c.URIs {
		all = append(all, u.String())
	}
	for _, a := range c.IPAddresses {
		all = append(all, a.String())
	}
	return all
}
