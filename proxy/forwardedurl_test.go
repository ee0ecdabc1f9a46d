package proxy_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

func TestForwardedURL(t *testing.T) {
	all := proxy.URLHeaders{Scheme: "X-Forwarded-Proto", Host: "x-forwarded-host", Prefix: "X-Forwarded-Prefix"}
	peers := proxy.TrustPeers(lab.ProxyNet)
	const proto, host, prefix = "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Prefix"
	for _, tt := range []struct {
		name    string
		headers proxy.URLHeaders
		from    string
		set     []string
		want    string // "" to refuse
	}{
		{"all", all, lab.ProxyAddress, []string{proto, "https", host, "api.example.org:443", prefix, "/v1/"},
			"https://api.example.org/v1/orders"},
		{"prefix alone", proxy.URLHeaders{Prefix: prefix}, lab.ProxyAddress,
			[]string{prefix, "/v1", proto, "https", host, "evil.example"}, "http://example.com/v1/orders"},
		{"empty prefix path", all, lab.ProxyAddress, []string{proto, "https", host, "api.example.org", prefix, "/"},
			"https://api.example.org/orders"},
		{"a stranger's headers", all, stranger, []string{proto, "https", host, "evil.example", prefix, "/v1"}, "http://example.com/orders"},
		{"one missing", all, lab.ProxyAddress, []string{proto, "https", host, "api.example.org"}, ""},
		{"one empty", all, lab.ProxyAddress, []string{proto, "https", host, "", prefix, "/"}, ""},
		{"one twice", all, lab.ProxyAddress, []string{proto, "https", host, "a.example", host, "b.example", prefix, "/"}, ""},
		{"a list", all, lab.ProxyAddress, []string{proto, "https, http", host, "a.example", prefix, "/"}, ""},
		{"a list of prefixes", all, lab.ProxyAddress, []string{proto, "https", host, "a.example", prefix, "/v1,/v2"}, ""},
		{"a list of hosts", all, lab.ProxyAddress, []string{proto, "https", host, "a.example,b.example", prefix, "/"}, ""},
		{"another scheme", all, lab.ProxyAddress, []string{proto, "ftp", host, "a.example", prefix, "/"}, ""},
		{"scheme in other case", all, lab.ProxyAddress, []string{proto, "HTTPS", host, "a.example", prefix, "/"}, ""},
		{"host with a path", all, lab.ProxyAddress, []string{proto, "https", host, "a.example/x?", prefix, "/"}, ""},
		{"host with userinfo", all, lab.ProxyAddress, []string{proto, "https", host, "u@a.example", prefix, "/"}, ""},
		{"prefix without slash", all, lab.ProxyAddress, []string{proto, "https", host, "a.example", prefix, "v1"}, ""},
		{"prefix with a bad escape", all, lab.ProxyAddress, []string{proto, "https", host, "a.example", prefix, "/%zz"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := proxy.URL(tt.headers, peers)
			if err != nil {
				t.Fatal(err)
			}
			r := lab.ViaProxy("", tt.set...)
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
	if u := f(lab.ViaProxy("", proto, "https", host, "a.example", prefix, "/")); u != nil {
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
	l := lab.New(t)
	f, err := proxy.URL(proxy.URLHeaders{Scheme: "X-Forwarded-Proto", Host: "X-Forwarded-Host", Prefix: "X-Forwarded-Prefix"},
		proxy.TrustPeers(lab.ProxyNet))
	if err != nil {
		t.Fatal(err)
	}
	g := l.Guard(func(o *popauth.Options) { o.Confirmers = []popauth.Confirmer{lab.Proofs(dpop.Options{URL: f})} })
	key := popauthtest.NewProofKey(t, "ES256")
	key.Now = l.Clock.Now
	token := l.Issuer.Token(key.Bound())
	for _, tt := range []struct {
		url  string
		pass bool
	}{
		{"https://api.example.org/v1/orders", true},
		{"http://example.com/orders", false},
		{"https://api.example.org/orders", false},
	} {
		r := lab.ViaProxy("", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "api.example.org", "X-Forwarded-Prefix", "/v1")
		r.Header.Set("Authorization", "DPoP "+token)
		r.Header.Set("DPoP", key.Proof(http.MethodGet, tt.url, token))
		if o := lab.Send(g.Confirm, r); o.Ran != tt.pass {
			t.Errorf("%s: got %d, ran %t", tt.url, o.Status, o.Ran)
		}
	}
}

// Verified hides nothing of the source it wraps: its headers are removed, and its mistakes reported.
func TestVerifiedForwarded(t *testing.T) {
	l := lab.New(t)
	inner := lab.ByProxy(proxy.RFC9440(), proxy.TrustPeers(lab.ProxyNet))
	source, err := clientcert.Verified(inner, clientcert.Verification{Roots: l.CA.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	look := lab.Tap(func(r *http.Request) {
		if r.Header.Get("Client-Cert") != "" {
			t.Error("the header reached the handler")
		}
	})
	own := l.Guard(func(o *popauth.Options) { o.Certificate = source })
	lab.Send(lab.Chain(own.Authenticate, look, own.Confirm, look),
		lab.ViaProxy(l.Bound(), "Client-Cert", lab.ClientCert(l.Owner))).Passed(t)
	lab.Send(lab.Chain(popauth.ClientCertificate(source), look, l.Guard().Confirm),
		lab.ViaProxy(l.Bound(), "Client-Cert", lab.ClientCert(l.Owner))).Passed(t)
	lab.Send(lab.Chain(clientcert.Require(source), look), lab.ViaProxy("", "Client-Cert", lab.ClientCert(l.Owner))).Passed(t)
	lab.Send(clientcert.Require(source), lab.ViaProxy("", "Client-Cert", lab.ClientCert(l.Thief))).Refused(t, 403, "")
	lab.Send(clientcert.Require(source), lab.ViaProxy("", "Client-Cert", "junk")).Refused(t, 400, "")
	lab.Send(own.Confirm, lab.ViaProxy(l.Issuer.Token(l.Thief.Bound()), "Client-Cert", lab.ClientCert(l.Thief))).Refused(t, 403, "")

	broken, err := clientcert.Verified(popauth.CertificateFunc(nil), clientcert.Verification{Roots: l.CA.Pool()})
	if err == nil {
		_, err = popauth.New(popauth.Options{Issuer: "https://id.example.com", Audience: []string{"a"}, Certificate: broken})
	}
	if err == nil {
		t.Error("a source that finds nothing was taken")
	}
}
