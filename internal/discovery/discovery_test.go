package discovery_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/internal/discovery"
)

func TestParseMember(t *testing.T) {
	for _, test := range []struct {
		issuer, member string
		loopback, want bool
	}{
		{"https://id.example.com", "https://keys.example.net/x?y", false, true},
		{"https://id.example.com", "http://id.example.com/", true, false},
		{"https://id.example.com", "https://10.0.0.1/", false, false},
		{"https://id.example.com", "https://[::ffff:10.0.0.1]/", false, false},
		{"https://id.example.com", "https://169.254.169.254/", false, false},
		{"https://id.example.com", "https://[::ffff:169.254.169.254]/", false, false},
		{"https://id.example.com", "https://[::ffff:127.0.0.1]/", false, false},
		{"https://id.example.com", "https://[fd00::1]/", false, false},
		{"https://id.example.com", "https://0.0.0.0/", false, false},
		{"https://id.example.com", "https://127.0.0.1/", false, false},
		{"https://id.example.com", "https://LOCALHOST/", false, false},
		{"https://10.0.0.1", "https://10.0.0.2/", false, true},
		{"https://127.0.0.1", "http://127.0.0.1/", true, false},
		{"http://127.0.0.1", "http://127.0.0.1/", true, true},
		{"http://127.0.0.1", "http://127.0.0.1/", false, false},
		{"http://127.0.0.1", "http://10.0.0.1/", true, false},
		{"https://id.example.com", "https://u@keys.example.net/", false, false},
		{"https://id.example.com", "https://keys.example.net/#x", false, false},
		{"https://id.example.com", "https:keys", false, false},
		{"https://id.example.com", "", false, false},
		{"https://id.example.com", "https://localhost./", false, false},
		{"https://id.example.com", "https://x.localhost/", false, false},
		{"https://id.example.com", "https://127.1/", false, false},
		{"https://id.example.com", "https://2130706433/", false, false},
		{"https://id.example.com", "https://0x7f000001/", false, false},
		{"https://id.example.com", "https://0177.0.0.0x1/", false, false},
		{"https://id.example.com", "https://[64:ff9b::7f00:1]/", false, false},
		{"https://id.example.com", "https://[2002:7f00:1::]/", false, false},
		{"https://id.example.com", "https://[::127.0.0.1]/", false, false},
		{"https://id.example.com", "https://100.64.0.1/", false, false},
		{"https://id.example.com", "https://0.1.2.3/", false, false},
		{"https://id.example.com", "https://[fec0::1]/", false, false},
		{"https://id.example.com", "https://[64:ff9b::808:808]/", false, true},
		{"https://id.example.com", "https://8.8.8.8/", false, true},
		{"https://id.example.com", "https://１２７.０.０.１/", false, false},
		{"https://id.example.com", "https://127。0。0。1/", false, false},
		{"https://id.example.com", "https://%EF%BC%91%EF%BC%92%EF%BC%97.0.0.1/", false, false},
		{"https://id.example.com", "https://①②⑦.⓪.⓪.①:8443/", false, false},
		{"https://id.example.com", "https://ｌｏｃａｌｈｏｓｔ/", false, false},
		{"https://id.example.com", "https://bücher.example/", false, false},
		{"https://id.example.com", "https://xn--bcher-kva.example/ä", false, true},
		{"https://id.example.com", "https://0x.example.com/", false, true},
		{"https://id.example.com", "https://keys.example.com../", false, true}, // which no resolver knows
		{"https://id.example.com", "https://keys.example.com/" + strings.Repeat("x", 2<<10), false, false},
	} {
		issuer, err := url.Parse(test.issuer)
		if err != nil {
			t.Fatal(err)
		}
		u, err := discovery.ParseMember(test.member, issuer, discovery.Loopback(test.loopback))
		if (err == nil) != test.want || (u == nil) == test.want {
			t.Errorf("%s of %s: got %v, %v, want %v", test.member, test.issuer, u, err, test.want)
		}
	}
}

// The error of a host that is not in ASCII says how to write it, wherever a URL is read.
func TestHostInASCII(t *testing.T) {
	for name, parse := range map[string]func(string) (*url.URL, error){
		"ParseURL":    func(s string) (*url.URL, error) { return discovery.ParseURL(s, discovery.LoopbackHTTP) },
		"ParseIssuer": func(s string) (*url.URL, error) { return discovery.ParseIssuer(s, discovery.LoopbackHTTP) },
		"ParseMember": func(s string) (*url.URL, error) {
			return discovery.ParseMember(s, &url.URL{Scheme: "https", Host: "a"}, discovery.LoopbackHTTP)
		},
	} {
		if _, err := parse("https://bücher.example/"); err == nil || !strings.Contains(err.Error(), "A-label") {
			t.Errorf("%s: got %v, want an error that names the A-label form", name, err)
		}
	}
}

func TestLocations(t *testing.T) {
	const openID, oauth = "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"
	const host = "https://id.example.com"
	for issuer, want := range map[string][]string{
		host:            {host + openID, host + oauth},
		host + "/":      {host + openID, host + oauth},
		host + "/a%2Fb": {host + "/a%2Fb" + openID, host + oauth + "/a%2Fb", host + openID + "/a%2Fb", host + "/a%2Fb" + oauth},
		host + "/t/":    {host + "/t" + openID, host + oauth + "/t", host + openID + "/t", host + "/t" + oauth},
	} {
		u, err := discovery.ParseIssuer(issuer, discovery.NoHTTP)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, l := range discovery.Locations(u) {
			got = append(got, l.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", issuer, got, want)
		}
	}
	for _, issuer := range []string{"https://id.example.com?", "https://id.example.com?x=y", "http://id.example.com", "http://127.0.0.1"} {
		if u, err := discovery.ParseIssuer(issuer, discovery.NoHTTP); err == nil || u != nil {
			t.Errorf("%s: got %v, want an error", issuer, u)
		}
	}
}
