package popclient_test

import (
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/popclient"
)

// Servers ignore what they don't know.
func TestResourcesWithoutEffect(t *testing.T) {
	for _, test := range []struct {
		aud  any
		want string
	}{
		{[]string{"https://api.example.com", "account"}, ""},
		{"https://api.example.com", ""},
		{[]string{"account"}, `missing="[\"https://api.example.com\"]" aud="[\"account\"]"`},
		{"account", "MutualTLSOptions.Resources"},
		{nil, "Resources without effect"},
	} {
		s := newRealm(t)
		s.claims = map[string]any{"aud": test.aud}
		logger, logged := newLog()
		client := s.client(t, s.ca.Client("job"), func(o *popclient.MutualTLSOptions) {
			o.Resources, o.Logger = []string{"https://api.example.com"}, logger
		})
		_ = ask(t, client, s.api.URL) // which the API may refuse
		if test.want == "" {
			if got := logged(); strings.Contains(got, "without effect") {
				t.Errorf("%v: got %q, want nothing", test.aud, got)
			}
			continue
		}
		for end := time.Now().Add(5 * time.Second); !strings.Contains(logged(), test.want); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%v: got %q, want %q", test.aud, logged(), test.want)
			}
		}
	}
}
