package clientauth_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/clientauth"
)

func TestAliases(t *testing.T) {
	path, root := clientauth.PathPrefix("/connect/mtls"), clientauth.PathPrefix("/mtls")
	for _, tt := range []struct {
		name       string
		endpoints  clientauth.Endpoints
		base, path string
		want       string // "": an error
	}{
		{"path", path, "https://identity.example.com", "/connect/token", "https://identity.example.com/connect/mtls/token"},
		{"path with base", path, "https://identity.example.com/eu", "/connect/token", "https://identity.example.com/eu/connect/mtls/token"},
		{"path at the root", root, "https://id.example.com:8443/", "/a/token", "https://id.example.com:8443/mtls/a/token"},
		{"domain", clientauth.Domain("mtls.example.com"), "https://identity.example.com", "/connect/token",
			"https://mtls.example.com/connect/token"},
		{"domain keeps the base path", clientauth.Domain("mtls.example.com"), "https://id.example.com/eu/", "/token",
			"https://mtls.example.com/eu/token"},
		{"domain with port", clientauth.Domain("mtls.example.com:8443"), "https://id.example.com:444", "/token",
			"https://mtls.example.com:8443/token"},
		{"domain with 443", clientauth.Domain("MTLS.example.com:443"), "https://id.example.com", "/token",
			"https://mtls.example.com/token"},
		{"domain of IPv6", clientauth.Domain("[::1]"), "https://id.example.com", "/token", "https://[::1]/token"},
		{"domain of IPv6 with port", clientauth.Domain("[::1]:8443"), "https://id.example.com", "/token", "https://[::1]:8443/token"},
		{"subdomain", clientauth.Subdomain("mtls"), "https://identity.example.com", "/connect/token",
			"https://mtls.identity.example.com/connect/token"},
		{"subdomain with port and base", clientauth.Subdomain("mtls"), "https://id.example.com:8443/eu", "/token",
			"https://mtls.id.example.com:8443/eu/token"},
		{"escaped", clientauth.Domain("m.example"), "https://id.example.com/e%20u", "/t%2Fk", "https://m.example/e%20u/t%2Fk"},
		{"path elsewhere", path, "https://id.example.com", "/token", ""},
		{"path has the prefix", path, "https://id.example.com", "/connect/mtls/token", ""},
		{"subdomain of an IP", clientauth.Subdomain("mtls"), "https://127.0.0.1:8443", "/token", ""},
		{"no slash", root, "https://id.example.com", "token", ""},
		{"a whole URL", root, "https://id.example.com", "https://id.example.com/token", ""},
		{"a host", root, "https://id.example.com", "//evil.example/token", ""},
		{"a query", root, "https://id.example.com", "/token?x", ""},
		{"a fragment", root, "https://id.example.com", "/token#x", ""},
		{"not a path", root, "https://id.example.com", "/%zz", ""},
		{"http", root, "http://id.example.com", "/token", ""},
		{"no base", root, "", "/token", ""},
		{"no host", root, "https:///eu", "/token", ""},
		{"base with a query", root, "https://id.example.com?x", "/token", ""},
		{"base with a fragment", root, "https://id.example.com#x", "/token", ""},
		{"base with a user", root, "https://u@id.example.com", "/token", ""},
		{"base malformed", root, "https://id.example.com/%zz", "/token", ""},
	} {
		a := newAuth(t, clientauth.Options{Clients: clientauth.Static{}, Endpoints: tt.endpoints})
		m, err := a.Metadata(tt.base, clientauth.EndpointURLs{Token: tt.path})
		if (err != nil) != (tt.want == "") || m.Aliases.Token != tt.want {
			t.Errorf("%s: got %q, %v, want %q", tt.name, m.Aliases.Token, err, tt.want)
		}
		if err != nil && !reflect.DeepEqual(m, clientauth.Metadata{}) {
			t.Errorf("%s: got %+v beside an error", tt.name, m)
		}
	}
}

// Only endpoints that exist have an alias and methods; names are those of the registry.
func TestMetadata(t *testing.T) {
	a := newAuth(t, clientauth.Options{
		Clients: clientauth.Static{}, Methods: []clientauth.Method{clientauth.SelfSignedTLSClientAuth},
	})
	all := clientauth.EndpointURLs{
		Token: "/a", Revocation: "/b", Introspection: "/c", DeviceAuthorization: "/d", PushedAuthorizationRequest: "/e", UserInfo: "/f",
	}
	m, err := a.Metadata("https://id.example.com", all)
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"mtls_endpoint_aliases":{"token_endpoint":"https://mtls.example.com/a",` +
		`"revocation_endpoint":"https://mtls.example.com/b","introspection_endpoint":"https://mtls.example.com/c",` +
		`"device_authorization_endpoint":"https://mtls.example.com/d",` +
		`"pushed_authorization_request_endpoint":"https://mtls.example.com/e","userinfo_endpoint":"https://mtls.example.com/f"},` +
		`"token_endpoint_auth_methods_supported":["self_signed_tls_client_auth"],` +
		`"revocation_endpoint_auth_methods_supported":["self_signed_tls_client_auth"],` +
		`"introspection_endpoint_auth_methods_supported":["self_signed_tls_client_auth"],` +
		`"tls_client_certificate_bound_access_tokens":true}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	// What is done to one list happens to no other.
	m.TokenMethods[0] = "x"
	own := []clientauth.Method{clientauth.SelfSignedTLSClientAuth}
	if again, _ := a.Metadata("https://id.example.com", all); !slices.Equal(again.TokenMethods, own) ||
		!slices.Equal(m.RevocationMethods, own) {
		t.Errorf("got %v and %v", again.TokenMethods, m.RevocationMethods)
	}
	m, err = a.Metadata("https://id.example.com", clientauth.EndpointURLs{Introspection: "/c"})
	if err != nil || m.TokenMethods != nil || m.RevocationMethods != nil ||
		m.Aliases != (clientauth.EndpointURLs{Introspection: "https://mtls.example.com/c"}) {
		t.Errorf("got %+v, %v", m, err)
	}
	_, err = a.Metadata("https://id.example.com", clientauth.EndpointURLs{Token: "x", Revocation: "y"})
	if err == nil || strings.Count(err.Error(), "clientauth: Metadata: ") != 2 {
		t.Errorf("got %v, want both problems", err)
	}
	off, err := clientauth.New(clientauth.Options{Clients: clientauth.Static{}})
	if err != nil {
		t.Fatal(err)
	}
	if m, err := off.Metadata("https://id.example.com", all); err != nil || !reflect.DeepEqual(m, clientauth.Metadata{}) {
		t.Errorf("off: got %+v, %v", m, err)
	}
}
