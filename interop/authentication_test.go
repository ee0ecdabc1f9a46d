package interop_test

import (
	"errors"
	"testing"

	"golang.org/x/oauth2"

	"github.com/seed-171ab058/popauth/popauthtest"
)

// The provider gives a client's tokens to the holder of its certificate alone.
func TestClientAuthentication(t *testing.T) {
	p := newProvider(t)
	for _, test := range []struct {
		id   string
		who  string
		with *popauthtest.Client
		want string // "" for a token
	}{
		{"by-dn", "owner", p.byDN, ""},
		{"by-san", "owner", p.bySAN, ""},
		{"self-signed", "owner", p.selfSigned, ""},
		{"by-dn", "nobody", nil, "invalid_client"},
		{"by-dn", "another client", p.bySAN, "invalid_client"},
		{"by-dn", "same name of another authority", namesakeOf(t), "invalid_client"},
		{"by-san", "another client", p.byDN, "invalid_client"},
		{"self-signed", "another client", p.byDN, "invalid_client"},
		{"self-signed", "another of the same name", popauthtest.SelfSigned(t, "self-signed"), "invalid_client"},
	} {
		t.Run(test.id+", "+test.who, func(t *testing.T) {
			token, err := p.bound(test.with, test.id, structured)
			if test.want == "" {
				if err != nil || token.AccessToken == "" {
					t.Fatalf("got %v, %v, want a token", token, err)
				}
				return
			}
			var refused *oauth2.RetrieveError
			if !errors.As(err, &refused) || refused.ErrorCode != test.want {
				t.Errorf("got %v, %v, want %s", token, err, test.want)
			}
		})
	}
}
