package refusals_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// hostileTexts are what a sender may put wherever he can choose.
var hostileTexts = map[string]string{
	"a line of its own": "x\ntime=2026-01-01 level=INFO msg=\"request refused\" code=forged",
	"fake attributes":   `x code=forged status=200 reason="all is well"`,
	"quotes":            `x" code="forged`,
	"JSON":              `"},"code":"forged","x":{"y":"`,
	"a terminal's":      "\x1b]0;owned\x07\x1b[2J\x9b31m",
	"no UTF-8":          "\xff\xfe\xc3(",
	"beyond ASCII":      "\u202e\u2028\u0085\ufeff\U000e0001",
	"NUL":               "x\x00y",
	"a megabyte":        strings.Repeat("A", 1<<20),
	"many controls":     strings.Repeat("\x01", 1<<16),
	"a format":          "%s%n%!d(MISSING)",
}

// Whatever a sender chooses, and wherever: a refusal is one line of bounded length in printable ASCII, with these attributes and each
// of them once, in slog's own formats and in one that escapes nothing.
func TestHostileAttributes(t *testing.T) {
	l := lab.New(t)
	key := popauthtest.NewProofKey(t, "ES256")
	key.Now = l.Clock.Now
	var text, object bytes.Buffer
	var raw strings.Builder
	nginx := proxy.Nginx("X-SSL-Client-Cert", "X-SSL-Client-Verify")
	g := l.Guard(func(o *popauth.Options) {
		o.Logger = slog.New(slog.NewMultiHandler(slog.NewTextHandler(&text, nil), slog.NewJSONHandler(&object, nil), rawHandler{&raw}))
		o.LogPerMinute, o.Confirmers = -1, []popauth.Confirmer{popauth.MutualTLS{}, lab.Proofs(dpop.Options{})}
		o.Certificate = lab.ByProxy(nginx, proxy.TrustPeers(netip.MustParsePrefix("10.0.0.0/8")))
	})
	text.Reset()
	object.Reset()
	raw.Reset()
	allow := g.Authorize(popauth.AnyOf(popauth.Scope("none"), popauth.Client("none"), popauth.Subject("none"), popauth.ACR("none")))
	tenant := func(r *http.Request) (string, error) { return "https://" + r.URL.Query().Get("tenant"), nil }
	checkAll := func(what string) {
		t.Helper()
		if strings.Count(text.String(), "\n") != 1 || strings.Count(object.String(), "\n") != 1 {
			t.Errorf("%s: got %.600q, want one line", what, text.String())
		}
		for _, line := range []string{text.String(), object.String(), raw.String()} {
			line = strings.TrimSuffix(line, "\n")
			if len(line) > maxLine || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("%s: got %d bytes: %.600q", what, len(line), line)
			}
		}
		checkKeys(t, what, object.Bytes())
		text.Reset()
		object.Reset()
		raw.Reset()
	}
	for name, s := range hostileTexts {
		for place, r := range hostilePlaces(l, key, nginx, s) {
			lab.Send(lab.Chain(allow, func(http.Handler) http.Handler {
				return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Errorf("%s in %s passed", name, place) })
			}), r)
			checkAll(name + " in " + place)
		}
		r := l.Owner.Request("GET", "/orders?tenant="+url.QueryEscape(s[:min(len(s), 4<<10)]), l.Issuer.Token())
		lab.Send(g.Authorize(popauth.IssuerFunc(tenant)), r)
		if raw.Len() > 1<<10 {
			t.Errorf("%s: got %d bytes for what an IssuerFunc has made of a request", name, raw.Len())
		}
		checkAll(name + " in the tenant of an IssuerFunc")
	}
}

// hostilePlaces are requests with a text wherever a sender can put one.
func hostilePlaces(l *lab.Lab, key *popauthtest.ProofKey, nginx proxy.Format, s string) map[string]*http.Request {
	short := s[:min(len(s), 6<<10)] // of what stands in a token, which has 16 KiB
	all := map[string]*http.Request{}
	add := func(place string, change func(*http.Request)) {
		r := l.Owner.RequestVia(nginx, "10.0.0.1:4711", "GET", "/orders", l.Bound())
		change(r)
		all[place] = r
	}
	token := func(text string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+text) }
	}
	for _, claim := range []string{"iss", "aud", "sub", "jti", "client_id", "scope", "acr", "exp", "cnf", "azp"} {
		add("claim "+claim, token(l.Bound(popauthtest.Claims{claim: short})))
		add("list in claim "+claim, token(l.Bound(popauthtest.Claims{claim: slices.Repeat([]string{s[:min(len(s), 64)]}, 50)})))
	}
	for _, member := range []string{"typ", "kid", "x5t#S256", "crit", "jku"} {
		add("header "+member, token(l.Issuer.TokenWith(popauthtest.Claims{member: short}, l.Owner.Bound())))
	}
	add("header alg", token(l.Issuer.Sign(headerOf(short, "x"), []byte(`{}`), "ES256")))
	add("member of cnf", token(l.Issuer.Token(popauthtest.Claims{"cnf": map[string]any{short: short}})))
	add("value of cnf", token(l.Issuer.Token(popauthtest.Claims{"cnf": map[string]any{"x5t#S256": short}})))
	for _, claim := range []string{"htm", "htu", "jti", "nonce", "ath"} {
		all["proof's "+claim] = key.Request("GET", lab.DPoPURL, l.Issuer.Token(key.Bound()), popauthtest.Claims{claim: short})
	}
	for _, name := range []string{"Authorization", "Dpop", "X-Ssl-Client-Cert", "X-Ssl-Client-Verify", "X-Http-Method-Override",
		"Early-Data",
		"Client-Cert"} {
		add("field "+name, func(r *http.Request) { r.Header.Set(name, s) })
	}
	add("scheme", func(r *http.Request) { r.Header.Set("Authorization", s+" x") })
	add("token", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+s) })
	add("method", func(r *http.Request) { r.Method = s })
	add("path", func(r *http.Request) { r.URL = &url.URL{Path: "/" + s} })
	add("opaque", func(r *http.Request) { r.URL = &url.URL{Opaque: s} })
	add("request line", func(r *http.Request) { r.RequestURI = "/" + s })
	add("peer", func(r *http.Request) { r.RemoteAddr = s })
	add("host, a proof's", func(r *http.Request) {
		*r = *key.Request("GET", lab.DPoPURL, l.Issuer.Token(key.Bound()))
		r.Host = s
	})
	return all
}

// attributes are the ones that docs/observability.md lists, and those of slog itself.
var attributes = []string{"time", "level", "msg", "code", "reason", "status", "method", "path", "peer", "error", "what", "got", "want",
	"advice", "issuer", "client", "token_id", "cause2", "cause3", "cause4"}

// checkKeys reads a line as a program does that takes one attribute after another.
func checkKeys(t *testing.T, what string, line []byte) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(line))
	var seen []string
	if _, err := d.Token(); err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			t.Errorf("%s: %v", what, err)
			return
		}
		var value any
		if err := d.Decode(&value); err != nil {
			t.Errorf("%s: %v", what, err)
			return
		}
		key, _ := name.(string)
		if slices.Contains(seen, key) || !slices.Contains(attributes, key) {
			t.Errorf("%s: got the attribute %q twice, or one that there isn't", what, key)
		}
		if key == "code" && value == "forged" || key == "msg" && value != "request refused" {
			t.Errorf("%s: got %s=%v", what, key, value)
		}
		seen = append(seen, key)
	}
}
