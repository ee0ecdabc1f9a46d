package uri_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/internal/uri"
)

var normal = []struct{ in, want string }{ // want "" is an error
	{"https://api.example.com/resource?foo=bar#hash", "https://api.example.com/resource"},
	{"https://api.example.com/resource#hash?foo=bar", "https://api.example.com/resource"},
	{"https://api.example.com/resource/?abc=def", "https://api.example.com/resource/"},
	{"https://api.example.com:8443/resource?foo=bar", "https://api.example.com:8443/resource"},
	{"https://api.example.com:443/path", "https://api.example.com/path"},
	{"http://api.example.com:80/path?x=1#y", "http://api.example.com/path"},
	{"https://api.example.com:80/path", "https://api.example.com:80/path"},
	{"https://api.example.com:/path", "https://api.example.com/path"},
	{"https://api.example.com:0443/path", "https://api.example.com/path"},
	{"HTTPS://API.EXAMPLE.COM/path", "https://api.example.com/path"},
	{"HtTpS://eXaMpLe.CoM", "https://example.com/"},
	{"https://example.com", "https://example.com/"},
	{"https://example.com?query=1", "https://example.com/"},
	{"https://example.com#fragment", "https://example.com/"},
	{"https://api.example.com/Path", "https://api.example.com/Path"},
	{"https://api.example.com/path%2fto%2fresource", "https://api.example.com/path%2Fto%2Fresource"},
	{"https://api.example.com/%7Euser/path%2Fwith%2Fslash", "https://api.example.com/~user/path%2Fwith%2Fslash"},
	{"https://api.example.com/a%41", "https://api.example.com/aA"},
	{"https://api.example.com/%252e%252E/b", "https://api.example.com/%252e%252E/b"},
	{"https://api.example.com/price/%e2%82%ac", "https://api.example.com/price/%E2%82%AC"},
	{"https://api.example.com/price/€", "https://api.example.com/price/%E2%82%AC"},
	{"https://api.example.com/a|b[c]", "https://api.example.com/a%7Cb%5Bc%5D"},
	{`https://api.example.com/a\b`, "https://api.example.com/a%5Cb"},
	{"https://api.example.com/a;v=1,2:3@4!$&'()*+", "https://api.example.com/a;v=1,2:3@4!$&'()*+"},
	{"https://api.example.com/path/../resource/./file.txt", "https://api.example.com/resource/file.txt"},
	{"https://api.example.com/a/%2e%2e/b", "https://api.example.com/b"},
	{"https://api.example.com/a/b/..", "https://api.example.com/a/"},
	{"https://api.example.com/a/b/.", "https://api.example.com/a/b/"},
	{"https://api.example.com/../../a", "https://api.example.com/a"},
	{"https://api.example.com/..", "https://api.example.com/"},
	{"https://api.example.com/a//../b", "https://api.example.com/a/b"},
	{"https://api.example.com/...", "https://api.example.com/..."},
	{"https://api.example.com/.well-known/x", "https://api.example.com/.well-known/x"},
	{"https://api.example.com//evil.example.com/steal", "https://api.example.com//evil.example.com/steal"},
	{"https://api.example.com/https://evil.example.com/steal", "https://api.example.com/https://evil.example.com/steal"},
	{"http://[::1]/path?x=1#y", "http://[::1]/path"},
	{"http://[2001:DB8:0::1]:8080/alpha?x", "http://[2001:db8::1]:8080/alpha"},
	{"http://[::ffff:c000:280]:3000/x", "http://[::ffff:192.0.2.128]:3000/x"},
	{"http://my_service:8080/resource", "http://my_service:8080/resource"},
	{"https://bad_host.example/path", "https://bad_host.example/path"},
	{"https://example.com./x", "https://example.com./x"},
	{"https://xn--bcher-kva.de/weg", "https://xn--bcher-kva.de/weg"},
	{"https://host:65535/", "https://host:65535/"},

	// RFC 9110, section 4.2.4: userinfo is an error. The others are not URIs of a host, or not of http.
	{"https://user:pass@api.example.com/resource", ""},
	{"https://api.example.com@evil.example.com/resource", ""},
	{"https://bücher.de/weg", ""},   // an IRI; its URI is above
	{"https://\u212a.example/", ""}, // the Kelvin sign folds into k
	{"https://ho!st.example/path", ""},
	{"https://ho%73t.example/path", ""},
	{"https://host:999999/", ""},
	{"https://host:65536/", ""},
	{"https://host:notaport/", ""},
	{"https://host:+1/", ""},
	{"https://host:1:2/", ""},
	{"http://[2001:db8::1/path", ""},
	{"http://[fe80::1%25eth0]/path", ""},
	{"http://[192.0.2.1]/path", ""},
	{"http://[v1.x]/path", ""},
	{"http://[::1]x/path", ""},
	{"http://[::1]x:80/path", ""},
	{"ht!tp:/x", ""}, {":://foo.bar", ""}, {"::::://", ""}, {"ftp://host/x", ""}, {"https:/host/x", ""},
	{"https:///x", ""}, {"https://", ""}, {"https://:443/", ""}, {"//host/x", ""}, {"/x", ""}, {"", ""}, {"not a url", ""},
	{"https://host/a b", ""}, {"https://host/a\tb", ""}, {"https://host/a\nb", ""}, {"https://host/\x7f", ""},
	{"https://host\n/a", ""}, {" https://host/a", ""}, {"https://host /a", ""},
	{"https://host/%", ""}, {"https://host/%4", ""}, {"https://host/%zz", ""}, {"https://host/%+1", ""},
}

func TestNormalize(t *testing.T) {
	for _, test := range normal {
		got, err := uri.Normalize(test.in)
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%q: got %q, %v, want %q", test.in, got, err, test.want)
		}
	}
}

func TestPathNeedsASlash(t *testing.T) {
	for _, path := range []string{"x", "*", "?", "%2Fx"} {
		if got, err := uri.Join("https", "host", path); err == nil {
			t.Errorf("%q: got %q", path, got)
		}
	}
}

// FuzzNormalize: the normal form is a fixed point, is a URI with the host that net/url finds, and two texts that
// net/url reads as different paths or hosts never have the same one.
func FuzzNormalize(f *testing.F) {
	for _, test := range normal {
		f.Add(test.in)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := uri.Normalize(s)
		if err != nil {
			if n != "" {
				t.Fatalf("%q: got %q with an error", s, n)
			}
			return
		}
		if again, err := uri.Normalize(n); err != nil || again != n {
			t.Fatalf("%q: %q is not normal: %q, %v", s, n, again, err)
		}
		u, err := url.Parse(n)
		if err != nil || u.String() != n || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			t.Fatalf("%q: normal form %q is %+v, %v", s, n, u, err)
		}
		for _, segment := range strings.Split(u.EscapedPath(), "/") {
			if segment == "." || segment == ".." {
				t.Fatalf("%q: dot segment in %q", s, n)
			}
		}
		// What net/url makes of the original must be the same place, where it can read it.
		if o, err := url.Parse(s); err == nil {
			if !strings.EqualFold(o.Scheme, u.Scheme) || !sameHost(o, u) {
				t.Fatalf("%q: scheme and host are %s %s, normal %s %s", s, o.Scheme, o.Host, u.Scheme, u.Host)
			}
			if !strings.Contains(o.Path, "/.") && o.Path != "" && o.Path != u.Path {
				t.Fatalf("%q: path is %q, normal %q", s, o.Path, u.Path)
			}
		}
	})
}

func sameHost(a, b *url.URL) bool {
	if strings.Contains(b.Host, "[") {
		return strings.Contains(a.Host, "[")
	}
	return strings.EqualFold(a.Hostname(), b.Hostname())
}
