package dpop_test

import (
	"bytes"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// dpopExampleTB stands in for the *testing.T that a test of yours has.
type dpopExampleTB struct{}

func (dpopExampleTB) Helper()                           {}
func (dpopExampleTB) Cleanup(func())                    {}
func (dpopExampleTB) Fatalf(format string, args ...any) { log.Fatalf(format, args...) }

// One API takes tokens under Bearer, bound to a certificate, and under DPoP, bound to a key. Neither can be sent in
// the other's way.
func ExampleConfirmer() {
	issuer := popauthtest.NewIssuer(dpopExampleTB{})
	options := issuer.Options()
	proofs, err := dpop.New(dpop.Options{BaseURL: "https://example.com"})
	if err != nil {
		log.Fatal(err)
	}
	options.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, proofs}
	guard, err := popauth.New(options)
	if err != nil {
		log.Fatal(err)
	}
	orders := guard.Confirm(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := popauth.FromContext(r.Context())
		fmt.Fprint(w, "bound by ", p.Bindings[0].Member)
	}))
	show := func(r *http.Request) {
		w := httptest.NewRecorder()
		orders.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Body, w.Header()["Www-Authenticate"])
	}

	client := popauthtest.SelfSigned(dpopExampleTB{}, "orders-batch")
	show(client.Request("GET", "/orders", issuer.Token(client.Bound())))

	key := popauthtest.NewProofKey(dpopExampleTB{}, "ES256")
	token := issuer.Token(key.Bound())
	r := key.Request("GET", "/orders", token)
	show(r)
	show(r) // a proof is good for one request
	show(client.Request("GET", "/orders", token))
	// Output:
	// 200 bound by x5t#S256 []
	// 200 bound by jkt []
	// 401  [DPoP error="invalid_dpop_proof", error_description="The DPoP proof was used before", algs="ES256 ES384 EdDSA Ed25519 PS256 RS256" Bearer]
	// 401  [Bearer error="invalid_token", error_description="Possession of the key that the access token is bound to was not proven" DPoP algs="ES256 ES384 EdDSA Ed25519 PS256 RS256"]
}

// A program that reads its configuration again makes a new Guard, and keeps one memory of used proofs for all of them. A
// Guard without Replay would begin with an empty one, and accept once more what the Guard before it has accepted.
func ExampleReplayMemory_reload() {
	issuer := popauthtest.NewIssuer(dpopExampleTB{})
	memory, err := dpop.NewReplayMemory(dpop.ReplayMemoryOptions{})
	if err != nil {
		log.Fatal(err)
	}
	var current atomic.Pointer[http.Handler]
	reload := func(maxAge time.Duration) {
		options := issuer.Options()
		proofs, err := dpop.New(dpop.Options{BaseURL: "https://example.com", Replay: memory, MaxAge: maxAge})
		if err != nil {
			log.Fatal(err)
		}
		options.Confirmers = []popauth.Confirmer{proofs}
		guard, err := popauth.New(options)
		if err != nil {
			log.Print(err) // the Guard before it stays
			return
		}
		orders := guard.Confirm(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "orders") }))
		current.Store(&orders)
	}
	api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*current.Load()).ServeHTTP(w, r) })

	key := popauthtest.NewProofKey(dpopExampleTB{}, "ES256")
	request := key.Request("GET", "/orders", issuer.Token(key.Bound()))
	for _, maxAge := range []time.Duration{30 * time.Second, 5 * time.Minute} {
		reload(maxAge)
		w := httptest.NewRecorder()
		api.ServeHTTP(w, request)
		fmt.Println(maxAge, w.Code)
	}
	// Output:
	// 30s 200
	// 5m0s 401
}

// Behind a proxy the URL that clients use is configured. Nothing that a request says can change it.
func ExampleOptions_behindAProxy() {
	proofs, err := dpop.New(dpop.Options{BaseURL: "https://api.example.com/v1"})
	if err != nil {
		log.Fatal(err)
	}
	issuer := popauthtest.NewIssuer(dpopExampleTB{})
	options := issuer.Options()
	options.Confirmers = []popauth.Confirmer{proofs}
	guard, err := popauth.New(options)
	if err != nil {
		log.Fatal(err)
	}
	key := popauthtest.NewProofKey(dpopExampleTB{}, "ES256")
	token := issuer.Token(key.Bound())

	// What the proxy makes of GET https://api.example.com/v1/orders.
	r := httptest.NewRequest("GET", "/orders", nil)
	r.Host = "10.0.0.7:8080"
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", key.Proof("GET", "https://api.example.com/v1/orders", token))
	_, err = guard.Check(r)
	fmt.Println(err)

	r.Header.Set("X-Forwarded-Host", "evil.example.com")
	r.Header.Set("DPoP", key.Proof("GET", "https://evil.example.com/orders", token))
	_, err = guard.Check(r)
	fmt.Println(err)
	// Output:
	// <nil>
	// popauth: DPoP proof for another request: htu is "https://evil.example.com/orders", want "https://api.example.com/v1/orders", the request's: a proof for another server's request, or a proxy that rewrites the path: see dpop.Options.BaseURL and URL
}

// The client is told a nonce and tries again with it. The secrets come from where yours come from; the first makes
// nonces, the others are still good.
func ExampleStatelessNonces() {
	current, previous := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	issuer := popauthtest.NewIssuer(dpopExampleTB{})
	options := issuer.Options()
	proofs, err := dpop.New(dpop.Options{
		BaseURL: "https://example.com", Nonces: dpop.StatelessNonces{Secrets: [][]byte{current, previous}},
	})
	if err != nil {
		log.Fatal(err)
	}
	options.Confirmers = []popauth.Confirmer{proofs}
	guard, err := popauth.New(options)
	if err != nil {
		log.Fatal(err)
	}
	orders := guard.Confirm(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "orders") }))
	key := popauthtest.NewProofKey(dpopExampleTB{}, "ES256")
	token := issuer.Token(key.Bound())

	refused := httptest.NewRecorder()
	orders.ServeHTTP(refused, key.Request("GET", "/orders", token))
	fmt.Println(refused.Code, refused.Header()["Www-Authenticate"][0])

	nonce := refused.Header().Get("DPoP-Nonce")
	accepted := httptest.NewRecorder()
	orders.ServeHTTP(accepted, key.Request("GET", "/orders", token, popauthtest.Claims{"nonce": nonce}))
	fmt.Println(accepted.Code, accepted.Body)
	// Output:
	// 401 DPoP error="use_dpop_nonce", error_description="A nonce is needed in the DPoP proof", algs="ES256 ES384 EdDSA Ed25519 PS256 RS256"
	// 200 orders
}
