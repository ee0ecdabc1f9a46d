package refusals_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// Where a proof can't be compared with the URL that a proxy reports, the log names the header, and what is wrong with it.
func TestForwardedURLSaysWhy(t *testing.T) {
	l := lab.New(t)
	key := popauthtest.NewProofKey(t, "ES256")
	key.Now = l.Clock.Now
	peers, secret := proxy.TrustPeers(netip.MustParsePrefix("10.0.4.7/32")), proxy.TrustSecret("X-Proxy-Secret", "0123456789abcdef")
	url, err := proxy.URL(proxy.URLHeaders{Scheme: "X-Forwarded-Proto", Host: "X-Forwarded-Host", Prefix: "X-Prefix"}, peers, secret)
	if err != nil {
		t.Fatal(err)
	}
	token := l.Issuer.Token(key.Bound())
	for _, tt := range []struct {
		fault  string
		change func(http.Header)
		says   string
	}{
		{"missing", func(h http.Header) { h.Del("X-Forwarded-Host") }, "X-Forwarded-Host: not there"},
		{"twice", func(h http.Header) { h.Add("X-Forwarded-Proto", "https") }, "X-Forwarded-Proto: in 2 lines"},
		{"empty", func(h http.Header) { h.Set("X-Prefix", "") }, "X-Prefix: empty"},
		{"a list", func(h http.Header) { h.Set("X-Forwarded-Proto", "https, http") }, "X-Forwarded-Proto: a list"},
		{"another scheme", func(h http.Header) { h.Set("X-Forwarded-Proto", "ftp-of-a-sender") },
			"X-Forwarded-Proto: neither http nor https"},
		{"no host", func(h http.Header) { h.Set("X-Forwarded-Host", "a/b") }, "X-Forwarded-Host: no host"},
		{"no path", func(h http.Header) { h.Set("X-Prefix", "v1") }, "X-Prefix: no path"},
		{"no secret", func(h http.Header) { h.Del("X-Proxy-Secret") }, "not its secret, see TrustSecret"},
	} {
		var log bytes.Buffer
		g := l.Guard(func(o *popauth.Options) {
			o.Logger = slog.New(slog.NewTextHandler(&log, nil))
			o.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, lab.Proofs(dpop.Options{URL: url})}
		})
		log.Reset()
		r := httptest.NewRequest(http.MethodGet, "http://api.internal/orders", nil)
		r.RemoteAddr = "10.0.4.7:41234"
		for name, value := range map[string]string{
			"X-Forwarded-Proto": "https", "X-Forwarded-Host": "api.example.com", "X-Prefix": "/v1", "X-Proxy-Secret": "0123456789abcdef",
			"Authorization": "DPoP " + token, "DPoP": key.Proof("GET", "https://api.example.com/v1/orders", token),
		} {
			r.Header.Set(name, value)
		}
		if out := lab.Send(g.Confirm, r.Clone(t.Context())); !out.Ran {
			t.Fatalf("as it should be: %s", log.String())
		}
		log.Reset()
		tt.change(r.Header)
		r.Header.Set("DPoP", key.Proof("GET", "https://api.example.com/v1/orders", token))
		if out := lab.Send(g.Confirm, r); out.Ran {
			t.Errorf("%s: the handler ran", tt.fault)
		}
		checkLine(t, tt.fault, log.String(), []string{"the request's own URI can't be told", tt.says})
		if bytes.Contains(log.Bytes(), []byte("ftp-of-a-sender")) {
			t.Errorf("%s: the log has what a sender chose", tt.fault)
		}
	}
}
