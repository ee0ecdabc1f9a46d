package clientcert_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// A browser adds its certificate to what any site's page sends. CrossOriginProtection refuses forms of other sites; the
// handshake of a WebSocket is a GET, whose Origin a policy looks at.
func ExampleRequire_crossSite() {
	staff := popauthtest.NewCA(t)
	source, err := clientcert.Verified(popauth.TLSCertificate(), clientcert.Verification{Roots: staff.Pool()})
	if err != nil {
		panic(err)
	}
	ownOrigin := clientcert.MatchFunc(func(r *http.Request, _ *popauth.Certificate) error {
		if origin := r.Header.Get("Origin"); origin != "" && origin != "https://api.example.com" {
			return fmt.Errorf("page of %q", origin)
		}
		return nil // a client that is no browser sends none
	})
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "hello") })
	mux := http.NewServeMux()
	mux.Handle("POST /transfers", clientcert.Require(source)(hello))
	mux.Handle("GET /live", clientcert.Require(source, ownOrigin)(hello)) // a WebSocket
	handler := http.NewCrossOriginProtection().Handler(mux)

	alice := staff.Client("alice")
	for _, site := range []string{"https://api.example.com", "https://evil.example"} {
		for _, route := range [][2]string{{"POST", "/transfers"}, {"GET", "/live"}} {
			r := alice.Request(route[0], "https://api.example.com"+route[1], "")
			r.Header.Set("Origin", site)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			fmt.Println(site, route[0], w.Code)
		}
	}
	show(handler, alice.Request("POST", "https://api.example.com/transfers", "")) // no browser
	// Output:
	// https://api.example.com POST 200
	// https://api.example.com GET 200
	// https://evil.example POST 403
	// https://evil.example GET 403
	// 200 hello
}
