package uri_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/internal/uri"
)

// A path that is read in one way is what net/url writes, or has no encoding: so net/url keeps no other form of it.
func TestReadingIsNetURL(t *testing.T) {
	for c := range 256 {
		plain := "/a" + string([]byte{byte(c)}) + "b"
		encoded := (&url.URL{Path: plain}).EscapedPath()
		rule, _ := uri.Reading(encoded, uri.Allowed{})
		want := c >= ' ' && c != 0x7f && c != '\\' && c != ';'
		if (rule == "") != want {
			t.Errorf("%q: got %q", encoded, rule)
		}
		const digits = "0123456789ABCDEF"
		forced := "/a%" + string(digits[c>>4]) + string(digits[c&15]) + "b"
		u, err := url.ParseRequestURI(forced)
		if err != nil {
			t.Fatal(err)
		}
		if rule, _ := uri.Reading(forced, uri.Allowed{}); (rule == "") != (want && u.RawPath == "") {
			t.Errorf("%q: got %q, net/url keeps %q", forced, rule, u.RawPath)
		}
	}
}

// What net/url takes of a RawPath it writes as it is, beside an escape that it would not write itself.
func TestSendableIsNetURL(t *testing.T) {
	for c := range 256 {
		if c == '%' || c == '?' { // these end or begin something
			continue
		}
		raw := "/a" + string([]byte{byte(c)}) + "%40"
		u := url.URL{Path: "/a" + string([]byte{byte(c)}) + "@", RawPath: raw}
		sent := uri.Sendable(raw)
		if taken := u.EscapedPath() == raw; taken != (sent == raw) {
			t.Errorf("%q: got %q, net/url writes %q", raw, sent, u.EscapedPath())
		}
		if u.RawPath = sent; u.EscapedPath() != sent {
			t.Errorf("%q: net/url writes %q", sent, u.EscapedPath())
		}
		if want, err := uri.Path(raw); err == nil {
			if got, err := uri.Path(sent); err != nil || got != want {
				t.Errorf("%q: got the normal form %q, %v, want %q", raw, got, err, want)
			}
		}
	}
}

// FuzzPlain: the plain spelling is read as the sent one, is what net/url keeps, has a slash where the sent one has one,
// and is its own plain spelling.
func FuzzPlain(f *testing.F) {
	for _, s := range []string{"/a%2Fb%40", "/%2f(1)%20", "/a|b%2Fc", "/%C3%A9%2F%c3%a9"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		all := uri.Allowed{EncodedSlash: true, EmptySegment: true, PathParameter: true}
		inner := all
		inner.OtherEncoding = true
		u, err := url.ParseRequestURI(s)
		if rule, _ := uri.Reading(s, inner); rule != "" || err != nil {
			return
		}
		plain := uri.Plain(s)
		if rule, _ := uri.Reading(plain, all); rule != "" || uri.Plain(plain) != plain {
			t.Fatalf("%q: got %q, which breaks %q or has another plain spelling", s, plain, rule)
		}
		if got, want := strings.Count(plain, "/"), strings.Count(s, "/"); got != want || !uri.Decodes(plain, u.Path) {
			t.Fatalf("%q: got %q with %d slashes, want %d", s, plain, got, want)
		}
		own := url.URL{Path: u.Path, RawPath: plain}
		if own.EscapedPath() != plain {
			t.Fatalf("%q: net/url writes %q for %q", s, own.EscapedPath(), plain)
		}
		if rest, _, fits := uri.Rest(s, &own); !fits || rest != s {
			t.Fatalf("%q doesn't fit %q", s, plain)
		}
	})
}

// What is no path is left as it is: nothing is decoded that wasn't encoded.
func TestPlainLeavesBadEscapes(t *testing.T) {
	for _, path := range []string{"/a%", "/a%4", "/a%zz", "/%41%4g", "/a%0", "/%%41"} {
		if got := uri.Plain(path); got != path {
			t.Errorf("%q: got %q", path, got)
		}
	}
}

// What a log has of a target: no query, no fragment, no userinfo.
func TestShown(t *testing.T) {
	for target, want := range map[string]string{
		"/a/b@c": "/a/b@c", "/a?x=@//": "/a", "/a#x": "/a", "?x": "", "": "", "/a//b@c": "/a//b@c",
		"http://u:p@api/x": "http://...@api/x", "http://u:p/@@api/x": "http://...@api/x", "http://api/x": "http://api/x",
		"//u:p@api": "//...@api", "u:p@api:443": "...@api:443", "foo:u:p@//x": "...@//x",
		"/a%3Fx": "/a", "/a%3fx?y": "/a", "/a%23x": "/a", "/a%253Fx": "/a", "/a%25252523x": "/a", "//u:p@api/a%3f@": "//...@api/a",
		"/a%3E%25x": "/a%3E%25x",
	} {
		if got := uri.Shown(target); got != want {
			t.Errorf("%q: got %q, want %q", target, got, want)
		}
	}
}

// FuzzReading: of what is read in one way, net/url keeps no encoded form, and it fits the URL that was parsed from it.
func FuzzReading(f *testing.F) {
	for _, s := range []string{"/a%20b", "/a(1)", "/%C3%A9(1)", "/x/..;/y", "/%2541", "//"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := url.ParseRequestURI(s)
		rule, at := uri.Reading(s, uri.Allowed{})
		if rule != "" {
			if at < 0 || at > len(s) || at == len(s) && s != "" {
				t.Fatalf("%q: %s at %d", s, rule, at)
			}
			return
		}
		if err != nil {
			t.Fatalf("%q: net/url: %v", s, err)
		}
		if u.RawPath != "" && u.RawPath != u.Path {
			t.Fatalf("%q: net/url keeps %q beside %q", s, u.RawPath, u.Path)
		}
		if rest, kept, fits := uri.Rest(s, u); !fits || !kept || rest != s {
			t.Fatalf("%q doesn't fit %q, %q", s, u.Path, u.RawPath)
		}
		u.Path += "x"
		if _, _, fits := uri.Rest(s, u); fits {
			t.Fatalf("%q fits %q", s, u.Path)
		}
	})
}

// An escaped path fits what it decodes to, not a URL.Path that is spelled as it is: that one is decoded already.
func TestRestIsDecodedOnce(t *testing.T) {
	for _, tt := range []struct {
		path, plain string
		fits        bool
	}{
		{"/orders", "/orders", true}, {"/%41", "/%41", false}, {"/%2541", "/%41", true}, {"/a%2Fb", "/a%2Fb", false}, {"/%", "/%", false},
	} {
		rest, _, fits := uri.Rest(tt.path, &url.URL{Path: tt.plain})
		if fits != tt.fits || fits && rest != tt.path {
			t.Errorf("%q, Path %q: got %q, fits %t, want %t", tt.path, tt.plain, rest, fits, tt.fits)
		}
	}
}
