package keys_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// Metadata at another place than the issuer's: it must be the issuer's all the same.
func TestMetadataURL(t *testing.T) {
	const place = "https://login.example.com/policy/.well-known/openid-configuration?p=1"
	for _, tt := range []struct {
		name, issuer, page string
		want               string // in the error
	}{
		{name: "of the issuer", issuer: somewhere, page: lab.Metadata(somewhere, theKeys)},
		{name: "an issuer that is no URL", issuer: "accounts.example.com", page: lab.Metadata("accounts.example.com", theKeys)},
		{name: "of another issuer", issuer: somewhere, page: lab.Metadata("https://login.example.com/policy", theKeys),
			want: "of another issuer"},
		{name: "keys inside", issuer: somewhere, page: lab.Metadata(somewhere, "https://10.0.0.1/jwks"), want: "inside"},
		{name: "nothing", issuer: somewhere, want: "login.example.com/policy/.well-known/openid-configuration?…: "},
	} {
		s := &site{pages: map[string]string{place: tt.page, theKeys: oneKey, somewhere +
			"/.well-known/openid-configuration": lab.Metadata(somewhere, theKeys)}}
		err := s.preload(t, popauth.RemoteKeysOptions{Issuer: tt.issuer, MetadataURL: place})
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
		for _, u := range s.asked {
			if u != place && u != theKeys {
				t.Errorf("%s: asked %s: another source must not count", tt.name, u)
			}
		}
	}
	for _, o := range []popauth.RemoteKeysOptions{
		{MetadataURL: place}, {URL: theKeys, MetadataURL: place}, {Issuer: somewhere, MetadataURL: "http://id.example.com/x"},
	} {
		if _, err := popauth.NewRemoteKeys(o); err == nil {
			t.Errorf("%+v: got no error", o)
		}
	}
}

// The introspection endpoint is found there, too.
func TestIntrospectionMetadataURL(t *testing.T) {
	l := lab.New(t)
	l.Issuer.Handle("/elsewhere", staticBody([]byte(`{"issuer":"accounts.example.com","introspection_endpoint":"`+l.Issuer.URL+
		`/introspect"}`)))
	token := l.Issuer.Opaque(popauthtest.Claims{"iss": "accounts.example.com"})
	for issuer, want := range map[string]error{"accounts.example.com": nil, "other.example.com": popauth.ErrUnavailable} {
		v := l.Introspection(func(o *introspection.Options) { o.Issuer, o.MetadataURL = issuer, l.Issuer.URL+"/elsewhere" })
		if _, err := v.Verify(t.Context(), token); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", issuer, err, want)
		}
	}
}
