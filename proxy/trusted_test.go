package proxy_test

import (
	"errors"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/proxy"
)

func TestTrustedPeer(t *testing.T) {
	const secret = "0123456789abcdef"
	peer, shared := proxy.TrustPeers(netip.MustParsePrefix("192.0.2.1/32")), proxy.TrustSecret("X-Proxy-Secret", secret)
	for _, tt := range []struct {
		name, address, secret string
		trust                 []proxy.Trust
		want                  error
	}{
		{"the peer", "192.0.2.1:1", "", []proxy.Trust{peer}, nil},
		{"another", "192.0.2.2:1", "", []proxy.Trust{peer}, popauth.ErrPeerUntrusted},
		{"no address", "", "", []proxy.Trust{peer}, popauth.ErrPeerUntrusted},
		{"the peer with the secret", "192.0.2.1:1", secret, []proxy.Trust{peer, shared}, nil},
		{"the peer without", "192.0.2.1:1", "", []proxy.Trust{shared, peer}, popauth.ErrProxySecret},
		{"the peer with another", "192.0.2.1:1", secret + "0", []proxy.Trust{peer, shared}, popauth.ErrProxySecret},
		{"another with the secret", "192.0.2.2:1", secret, []proxy.Trust{peer, shared}, popauth.ErrPeerUntrusted},
		{"the secret alone", "192.0.2.2:1", secret, []proxy.Trust{shared}, nil},
		{"no secret", "192.0.2.2:1", "", []proxy.Trust{shared}, popauth.ErrPeerUntrusted},
	} {
		known, err := proxy.Trusted(tt.trust...)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = tt.address
		if tt.secret != "" {
			r.Header.Set("X-Proxy-Secret", tt.secret)
		}
		got := known.Check(r)
		var e *popauth.Error
		if !errors.Is(got, tt.want) || tt.want != nil && (!errors.As(got, &e) || e.Status() < 400) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
	everybody := proxy.TrustPeers(netip.MustParsePrefix("0.0.0.0/0"))
	for _, trust := range [][]proxy.Trust{nil, {{}}, {everybody}, {peer, everybody}} {
		known, err := proxy.Trusted(trust...)
		if known != nil || err == nil || !strings.HasPrefix(err.Error(), "proxy: Trusted: ") {
			t.Errorf("%d rules: got %v", len(trust), err)
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	for name, nobody := range map[string]*proxy.TrustedPeer{"the zero one": {}, "nil": nil} {
		if err := nobody.Check(r); !errors.Is(err, popauth.ErrPeerUntrusted) || len(nobody.Headers()) > 0 {
			t.Errorf("VULNERABLE: %s: got %v, want %v", name, err, popauth.ErrPeerUntrusted)
		}
	}
}
