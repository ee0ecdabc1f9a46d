package discovery_test

import (
	"net/url"
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
	} {
		issuer, err := url.Parse(test.issuer)
		if err != nil {
			t.Fatal(err)
		}
		if u, err := discovery.ParseMember(test.member, issuer, test.loopback); (err == nil) != test.want || (u == nil) == test.want {
			t.Errorf("%s of %s: got %v, %v, want %v", test.member, test.issuer, u, err, test.want)
		}
	}
}

func TestLocations(t *testing.T) {
	for issuer, want := range map[string][2]string{
		"https://id.example.com":       {"https://id.example.com/.well-known/openid-configuration", "https://id.example.com/.well-known/oauth-authorization-server"},
		"https://id.example.com/":      {"https://id.example.com/.well-known/openid-configuration", "https://id.example.com/.well-known/oauth-authorization-server"},
		"https://id.example.com/a%2Fb": {"https://id.example.com/a%2Fb/.well-known/openid-configuration", "https://id.example.com/.well-known/oauth-authorization-server/a%2Fb"},
	} {
		u, err := discovery.ParseIssuer(issuer, false)
		if err != nil {
			t.Fatal(err)
		}
		for i, got := range discovery.Locations(u) {
			if got.String() != want[i] {
				t.Errorf("%s: got %s, want %s", issuer, got, want[i])
			}
		}
	}
	for _, issuer := range []string{"https://id.example.com?", "https://id.example.com?x=y", "http://id.example.com", "http://127.0.0.1"} {
		if u, err := discovery.ParseIssuer(issuer, false); err == nil || u != nil {
			t.Errorf("%s: got %v, want an error", issuer, u)
		}
	}
}
