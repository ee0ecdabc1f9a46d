package popauth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// The document says what the Guard enforces, and every challenge names it.
func ExampleGuard_Metadata() {
	issuer := popauthtest.NewIssuer(t)
	options := issuer.Options()
	options.Confirmers = []popauth.Confirmer{lab.Proofs(dpop.Options{Algorithms: []string{"ES256"}})}
	options.Resource = popauth.Resource{ID: "https://api.example.com/shop", Name: "The shop", DPoPRequired: true}
	guard, err := popauth.New(options)
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /shop/orders", guard.Authorize(popauth.Scope("orders.read"))(orders))
	mux.Handle(guard.MetadataPath(), guard.Metadata()) // for everybody: outside of the Guard

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/shop/orders", http.NoBody))
	fmt.Println(w.Header().Values("WWW-Authenticate")[1])
	w = httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", guard.MetadataPath(), http.NoBody))
	for member := range strings.SplitSeq(strings.ReplaceAll(w.Body.String(), issuer.URL, "https://id.example.com"), ",") {
		fmt.Println(strings.Trim(member, "{}"))
	}
	// Output:
	// DPoP resource_metadata="https://api.example.com/.well-known/oauth-protected-resource/shop", algs="ES256"
	// "authorization_servers":["https://id.example.com"]
	// "bearer_methods_supported":["header"]
	// "dpop_bound_access_tokens_required":true
	// "dpop_signing_alg_values_supported":["ES256"]
	// "resource":"https://api.example.com/shop"
	// "resource_name":"The shop"
	// "scopes_supported":["orders.read"]
}
