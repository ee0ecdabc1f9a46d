package introspection_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/issuers"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// A key in the query of the introspection endpoint's URL is in no error, which goes into logs.
func TestIntrospectionSecretInQuery(t *testing.T) {
	for _, status := range []int{200, 400, 401, 500, 0} {
		s := popauthtest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		if status == 0 {
			s.Close()
		}
		i, err := introspection.New(introspection.Options{
			Issuer: "https://id.example.com", Endpoint: s.URL + "/x?k=QUERYSECRET", Audience: []string{"a"}, Client: s.Client(),
			Authentication: introspection.ClientSecretBasic{ID: "id", Secret: "secret"},
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = i.Verify(context.Background(), "opaque")
		if err == nil || strings.Contains(err.Error(), "QUERYSECRET") || !strings.Contains(err.Error(), "/x?…") {
			t.Errorf("VULNERABLE: status %d: got %v, want an error without the query", status, err)
		}
	}
}

// Several issuers may be customers: none is published unless it is said.
func TestMetadataOfSeveralIssuers(t *testing.T) {
	a, b := popauthtest.NewIssuer(t), popauthtest.NewIssuer(t)
	verifiers := map[string]popauth.Verifier{}
	for _, i := range []*popauthtest.Issuer{a, b} {
		v, err := popauth.NewJWTVerifier(popauth.JWTOptions{Issuer: i.URL, Audience: []string{popauthtest.Audience},
			Keys: i.Options().Keys})
		if err != nil {
			t.Fatal(err)
		}
		verifiers[i.URL] = v
	}
	issuers, err := issuers.New(issuers.Options{Verifiers: verifiers})
	if err != nil {
		t.Fatal(err)
	}
	resource := popauth.Resource{ID: "https://api.example.com"}
	if _, err := popauth.New(popauth.Options{Verifier: issuers, Resource: resource}); err == nil ||
		!strings.Contains(err.Error(), "AuthorizationServers: the Verifier accepts 2 issuers") {
		t.Errorf("got %v, want an error about AuthorizationServers", err)
	}
	resource.AuthorizationServers = []string{a.URL}
	if _, err := popauth.New(popauth.Options{Verifier: issuers, Resource: resource}); err != nil {
		t.Errorf("got %v, want none", err)
	}
}
