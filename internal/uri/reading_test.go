package uri_test

import (
	"net/url"
	"testing"

	"github.com/seed-171ab058/popauth/internal/uri"
)

// A path that is read in one way is what net/url writes, or has no encoding: so net/url keeps no other form of it.
func TestReadingIsNetURL(t *testing.T) {
	for c := range 256 {
		plain := "/a" + string([]byte{byte(c)}) + "b"
		encoded := (&url.URL{Path: plain}).EscapedPath()
		rule, _ := uri.Reading(encoded, uri.Allowed{})
		want := c >= ' ' && c != 0x7f && c != '\\'
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
