package popauth_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

func TestForwardedURL(t *testing.T) {
	all := proxy.URLHeaders{Scheme: "X-Forwarded-Proto", Host: "x-forwarded-host", Prefix: "X-Forwarded-Prefix"}
	peers := proxy.TrustPeers(proxyNet)
	const proto, host, prefix = "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Prefix"
	for _, tt := range []struct {
		name    string
		headers proxy.URLHeaders
		from    string
		set     []string
		want    string // "" to refuse
	}{
		{"all", all, proxyAddress, []string{proto, "https", host, "api.example.org:443", prefix, "/v1/"}, "https://api.example.org/v1/orders"},
		{"prefix alone", proxy.URLHeaders{Prefix: prefix}, proxyAddress, []string{prefix, "/v1", proto, "https", host, "evil.example"}, "http://example.com/v1/orders"},
		{"empty prefix path", all, proxyAddress, []string{proto, "https", host, "api.example.org", prefix, "/"}, "https://api.example.org/orders"},
		{"a stranger's headers", all, stranger, []string{proto, "https", host, "evil.example", prefix, "/v1"}, "http://example.com/orders"},
		{"one missing", all, proxyAddress, []string{proto, "https", host, "api.example.org"}, ""},
		{"one empty", all, proxyAddress, []string{proto, "https", host, "", prefix, "/"}, ""},
		{"one twice", all, proxyAddress, []string{proto, "https", host, "a.example", host, "b.example", prefix, "/"}, ""},
		{"a list", all, proxyAddress, []string{proto, "https, http", host, "a.example", prefix, "/"}, ""},
		{"a list of prefixes", all, proxyAddress, []string{proto, "https", host, "a.example", prefix, "/v1,/v2"}, ""},
		{"a list of hosts", all, proxyAddress, []string{proto, "https", host, "a.example,b.example", prefix, "/"}, ""},
		{"another scheme", all, proxyAddress, []string{proto, "ftp", host, "a.example", prefix, "/"}, ""},
		{"scheme in other case", all, proxyAddress, []string{proto, "HTTPS", host, "a.example", prefix, "/"}, ""},
		{"host with a path", all, proxyAddress, []string{proto, "https", host, "a.example/x?", prefix, "/"}, ""},
		{"host with userinfo", all, proxyAddress, []string{proto, "https", host, "u@a.example", prefix, "/"}, ""},
		{"prefix without slash", all, proxyAddress, []string{proto, "https", host, "a.example", prefix, "v1"}, ""},
		{"prefix with a bad escape", all, proxyAddress, []string{proto, "https", host, "a.example", prefix, "/%zz"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := proxy.URL(tt.headers, peers)
			if err != nil {
				t.Fatal(err)
			}
			r := viaProxy("", tt.set...)
			r.RemoteAddr = tt.from
			got := ""
			if u := f(r); u != nil {
				got = u.String()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	f, err := proxy.URL(all, peers, proxy.TrustSecret("X-Proxy-Auth", "0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	if u := f(viaProxy("", proto, "https", host, "a.example", prefix, "/")); u != nil {
		t.Errorf("the proxy's connection without its secret: got %v, want nil", u)
	}
	for name, make1 := range map[string]func() (proxy.URLHeaders, []proxy.Trust){
		"no header": func() (proxy.URLHeaders, []proxy.Trust) { return proxy.URLHeaders{}, []proxy.Trust{peers} },
		"bad header": func() (proxy.URLHeaders, []proxy.Trust) {
			return proxy.URLHeaders{Host: "a b"}, []proxy.Trust{peers}
		},
		"no rule": func() (proxy.URLHeaders, []proxy.Trust) { return all, nil },
		"everybody": func() (proxy.URLHeaders, []proxy.Trust) {
			return all, []proxy.Trust{proxy.TrustPeers(netip.MustParsePrefix("::/0"))}
		},
	} {
		headers, trust := make1()
		if f, err := proxy.URL(headers, trust...); f != nil || err == nil || !strings.HasPrefix(err.Error(), "proxy: URL: ") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A proof for the URL that the proxy's client asked for, and one for the URL that the API got.
func TestDPoPBehindAForwardingProxy(t *testing.T) {
	l := newLab(t)
	f, err := proxy.URL(proxy.URLHeaders{Scheme: "X-Forwarded-Proto", Host: "X-Forwarded-Host", Prefix: "X-Forwarded-Prefix"}, proxy.TrustPeers(proxyNet))
	if err != nil {
		t.Fatal(err)
	}
	g := l.guard(func(o *popauth.Options) { o.Confirmers = []popauth.Confirmer{proofs(dpop.Options{URL: f})} })
	key := popauthtest.NewProofKey(t, "ES256")
	key.Now = l.clock.Now
	token := l.issuer.Token(key.Bound())
	for _, tt := range []struct {
		url  string
		pass bool
	}{
		{"https://api.example.org/v1/orders", true},
		{"http://example.com/orders", false},
		{"https://api.example.org/orders", false},
	} {
		r := viaProxy("", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "api.example.org", "X-Forwarded-Prefix", "/v1")
		r.Header.Set("Authorization", "DPoP "+token)
		r.Header.Set("DPoP", key.Proof(http.MethodGet, tt.url, token))
		if o := send(g.Confirm, r); o.ran != tt.pass {
			t.Errorf("%s: got %d, ran %t", tt.url, o.status, o.ran)
		}
	}
}

// Verified hides nothing of the source it wraps: its headers are removed, and its mistakes reported.
func TestVerifiedForwarded(t *testing.T) {
	l := newLab(t)
	inner := byProxy(proxy.RFC9440(), proxy.TrustPeers(proxyNet))
	source, err := clientcert.Verified(inner, clientcert.Verification{Roots: l.ca.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	look := tap(func(r *http.Request) {
		if r.Header.Get("Client-Cert") != "" {
			t.Error("the header reached the handler")
		}
	})
	own := l.guard(func(o *popauth.Options) { o.Certificate = source })
	send(chain(own.Authenticate, look, own.Confirm, look), viaProxy(l.bound(), "Client-Cert", clientCert(l.owner))).passed(t)
	send(chain(popauth.ClientCertificate(source), look, l.guard().Confirm), viaProxy(l.bound(), "Client-Cert", clientCert(l.owner))).passed(t)
	send(chain(clientcert.Require(source), look), viaProxy("", "Client-Cert", clientCert(l.owner))).passed(t)
	send(clientcert.Require(source), viaProxy("", "Client-Cert", clientCert(l.thief))).refused(t, 403, "")
	send(clientcert.Require(source), viaProxy("", "Client-Cert", "junk")).refused(t, 400, "")
	send(own.Confirm, viaProxy(l.issuer.Token(l.thief.Bound()), "Client-Cert", clientCert(l.thief))).refused(t, 403, "")

	broken, err := clientcert.Verified(popauth.CertificateFunc(nil), clientcert.Verification{Roots: l.ca.Pool()})
	if err == nil {
		_, err = popauth.New(popauth.Options{Issuer: "https://id.example.com", Audience: []string{"a"}, Certificate: broken})
	}
	if err == nil {
		t.Error("a source that finds nothing was taken")
	}
}
