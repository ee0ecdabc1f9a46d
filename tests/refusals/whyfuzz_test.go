package refusals_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// rawHandler is a slog.Handler that escapes nothing, as those are that write for people.
type rawHandler struct{ line *strings.Builder }

func (rawHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h rawHandler) WithAttrs([]slog.Attr) slog.Handler     { return h }
func (h rawHandler) WithGroup(string) slog.Handler          { return h }

func (h rawHandler) Handle(_ context.Context, r slog.Record) error {
	h.line.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool {
		h.line.WriteString(" " + a.Key + "=" + a.Value.String())
		return true
	})
	return nil
}

// maxLine is what one refusal may take of a log, in bytes, whatever its sender does.
const maxLine = 8 << 10

// FuzzLine has whatever a sender can choose in the line: no control character and nothing beyond ASCII is in it, and no more
// than so much.
func FuzzLine(f *testing.F) {
	for _, s := range []string{"", "x", "a\nb level=ERROR", "\x1b[31m", "é\u2028\xff", strings.Repeat("\x00", 3000), "\"} {\"msg\":\"x"} {
		f.Add(s, s, s)
	}
	l := lab.New(lab.FuzzTB{TB: f})
	key := popauthtest.NewProofKey(l, "ES256")
	key.Now = l.Clock.Now
	var line strings.Builder
	g := l.Guard(func(o *popauth.Options) {
		o.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, lab.Proofs(dpop.Options{})}
		o.Logger, o.LogPerMinute = slog.New(rawHandler{&line}), -1
	})
	check := func(t *testing.T, what string) {
		t.Helper()
		s := line.String()
		if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) || len(s) > maxLine {
			t.Errorf("%s: got %d bytes: %q", what, len(s), s[:min(len(s), 400)])
		}
		line.Reset()
	}
	f.Fuzz(func(t *testing.T, a, b, c string) {
		line.Reset()
		for what, r := range map[string]*http.Request{
			"claims": l.Owner.Request("GET", "/orders", l.Bound(popauthtest.Claims{"iss": a, "aud": []string{b, c, a}, "jti": c})),
			"names":  l.Owner.Request("GET", "/orders", l.Bound(popauthtest.Claims{"aud": a, "client_id": b, "jti": c})),
			"header": l.Owner.Request("GET", "/orders", l.Issuer.TokenWith(popauthtest.Claims{"typ": a, "kid": b}, l.Owner.Bound())),
			"alg":    l.Owner.Request("GET", "/orders", l.Issuer.Sign(headerOf(c, b), []byte(`{"iss":"`+l.Issuer.URL+`"}`), "ES256")),
			"kid":    l.Owner.Request("GET", "/orders", l.Issuer.TokenWith(popauthtest.Claims{"kid": b}, l.Owner.Bound())),
			"member": l.Owner.Request("GET", "/orders", l.Issuer.Token(popauthtest.Claims{"cnf": map[string]any{a: b}})),
			"scope":  l.Owner.Request("GET", "/orders", l.Bound(popauthtest.Claims{"scope": a + " " + b, "client_id": c})),
			"proof":  key.Request("GET", "/orders", l.Issuer.Token(key.Bound()), popauthtest.Claims{"htu": a, "htm": b, "jti": c}),
			"request": {
				Method: a, URL: &url.URL{Path: b, RawQuery: c}, Host: c, RemoteAddr: c, RequestURI: b,
				Header: http.Header{"Authorization": {a + " " + b}, "Dpop": {c}},
			},
		} {
			w := httptest.NewRecorder()
			g.Confirm(g.Authorize(popauth.Scope("none"))(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				t.Errorf("%s: the handler ran", what)
			}))).ServeHTTP(w, r)
			check(t, what)
		}
	})
}

// headerOf is a JWT's header with any alg.
func headerOf(alg, kid string) []byte {
	b, err := json.Marshal(map[string]string{"alg": alg, "kid": kid, "typ": "at+jwt"})
	if err != nil {
		panic(err)
	}
	return b
}
