package popauth_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// t stands for the *testing.T of a test.
var t = exampleTB{}

type exampleTB struct{}

func (exampleTB) Helper()                           {}
func (exampleTB) Cleanup(func())                    {}
func (exampleTB) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

var orders = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	caller, _ := popauth.FromContext(r.Context())
	_, _ = fmt.Fprintf(w, "orders of %s", caller.ClientID)
})

func show(h http.Handler, r *http.Request) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(strings.TrimSpace(fmt.Sprint(w.Code, " ", w.Body)))
}

func Example() {
	issuer := popauthtest.NewIssuer(t)
	owner := popauthtest.SelfSigned(t, "owner")
	thief := popauthtest.SelfSigned(t, "thief")
	token := issuer.Token(owner.Bound(), popauthtest.Claims{"scope": "orders.read"})

	guard, err := popauth.New(issuer.Options()) // in production: popauth.Options{Issuer: …, Audience: …}
	if err != nil {
		panic(err)
	}
	read := guard.Authorize(popauth.Scope("orders.read"))
	mux := http.NewServeMux()
	mux.Handle("GET /orders", guard.Confirm(read(orders)))

	show(mux, owner.Request("GET", "/orders", token))
	show(mux, thief.Request("GET", "/orders", token))
	// Output:
	// 200 orders of client-1
	// 401
}

func Example_chi() {
	issuer := popauthtest.NewIssuer(t)
	owner := popauthtest.SelfSigned(t, "owner")
	guard, err := popauth.New(issuer.Options())
	if err != nil {
		panic(err)
	}
	r := chi.NewRouter()
	r.Use(guard.Authenticate, guard.Confirm)
	r.With(guard.Authorize(popauth.Scope("orders.read"))).Get("/orders", orders)
	r.With(guard.Authorize(popauth.Scope("orders.write"))).Put("/orders", orders)

	token := issuer.Token(owner.Bound(), popauthtest.Claims{"scope": "orders.read"})
	show(r, owner.Request("GET", "/orders", token))
	show(r, owner.Request("PUT", "/orders", token))
	// Output:
	// 200 orders of client-1
	// 403
}

// New reports everything that is wrong at once.
func ExampleNew() {
	_, err := popauth.New(popauth.Options{Issuer: "http://id.example.com", Algorithms: []string{"HS256"}})
	fmt.Println(err)
	// Output:
	// popauth: Options.Audience: empty, or has an empty entry
	// popauth: Options.Issuer: can't be the start of discovery, and Keys is nil: popauth: RemoteKeysOptions.Issuer: not https but "http": http passes for a loopback address alone, where AllowLoopbackHTTP is set, and for keys at a private one where AllowPrivateHTTP is
	// popauth: Options.Algorithms: "HS256" is no asymmetric signature algorithm that is known here
}

// Authenticate alone lets bearer tokens pass too. It is Confirm that demands a binding.
func ExampleGuard_Authenticate() {
	issuer := popauthtest.NewIssuer(t)
	nobody := (*popauthtest.Client)(nil)
	guard, err := popauth.New(issuer.Options())
	if err != nil {
		panic(err)
	}
	bearer := issuer.Token()
	bound := issuer.Token(popauthtest.SelfSigned(t, "owner").Bound())
	show(guard.Authenticate(orders), nobody.Request("GET", "/orders", bearer))
	show(guard.Confirm(orders), nobody.Request("GET", "/orders", bearer))
	show(guard.Authenticate(orders), nobody.Request("GET", "/orders", bound))
	// Output:
	// 200 orders of client-1
	// 401
	// 401
}

// Where there is no handler to wrap, Check makes the same decision.
func ExampleGuard_Check() {
	issuer := popauthtest.NewIssuer(t)
	owner := popauthtest.SelfSigned(t, "owner")
	guard, err := popauth.New(issuer.Options())
	if err != nil {
		panic(err)
	}
	r := owner.Request("GET", "/orders", issuer.Token(owner.Bound(), popauthtest.Claims{"scope": "orders.read"}))
	caller, err := guard.Check(r, popauth.Bound(), popauth.Scope("orders.read"))
	fmt.Println(caller.ClientID, caller.Bindings[0].Member, err)

	_, err = guard.Check(r, popauth.Scope("orders.write"))
	fmt.Println(errors.Is(err, popauth.ErrScope), err)
	// Output:
	// client-1 x5t#S256 <nil>
	// true popauth: scope missing: scope is "orders.read", want "orders.write": the client has to ask for it, and its user or the issuer to grant it
}

// An Error's text is for logs. A body for clients is made of constants.
func ExampleOptions_deny() {
	issuer := popauthtest.NewIssuer(t)
	options := issuer.Options()
	options.Deny = func(w http.ResponseWriter, _ *http.Request, e *popauth.Error) {
		w.WriteHeader(e.Status())
		_, _ = fmt.Fprint(w, strings.ToLower(http.StatusText(e.Status())))
	}
	guard, err := popauth.New(options)
	if err != nil {
		panic(err)
	}
	show(guard.Confirm(orders), httptest.NewRequest("GET", "/orders", http.NoBody))
	// Output:
	// 401 unauthorized
}

func ExampleClaimsPolicy() {
	issuer := popauthtest.NewIssuer(t)
	owner := popauthtest.SelfSigned(t, "owner")
	guard, err := popauth.New(issuer.Options())
	if err != nil {
		panic(err)
	}
	type claims struct {
		Tenant string `json:"tenant"`
	}
	acme := guard.Authorize(popauth.ClaimsPolicy(func(c claims) error {
		if c.Tenant != "acme" {
			return errors.New("another tenant")
		}
		return nil
	}))
	show(acme(orders), owner.Request("GET", "/orders", issuer.Token(owner.Bound(), popauthtest.Claims{"tenant": "acme"})))
	show(acme(orders), owner.Request("GET", "/orders", issuer.Token(owner.Bound(), popauthtest.Claims{"tenant": "other"})))
	// Output:
	// 200 orders of client-1
	// 403
}

func ExampleClaims() {
	issuer := popauthtest.NewIssuer(t)
	owner := popauthtest.SelfSigned(t, "owner")
	guard, err := popauth.New(issuer.Options())
	if err != nil {
		panic(err)
	}
	type claims struct {
		Roles []string `json:"roles"`
	}
	h := guard.Confirm(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		caller, _ := popauth.FromContext(r.Context())
		c, err := popauth.Claims[claims](caller)
		fmt.Println(c.Roles, err)
	}))
	h.ServeHTTP(httptest.NewRecorder(), owner.Request("GET", "/",
		issuer.Token(owner.Bound(), popauthtest.Claims{"roles": []string{"admin"}})))
	// Output:
	// [admin] <nil>
}

// A handler's own test needs no token: NewContext says who the caller is. A Guard would not believe it.
func ExampleNewContext() {
	r := httptest.NewRequest("GET", "/orders", http.NoBody)
	r = r.WithContext(popauth.NewContext(r.Context(), &popauth.Principal{ClientID: "orders-batch"}))
	show(orders, r)
	// Output:
	// 200 orders of orders-batch
}

// The keys of an issuer that publishes no metadata.
func ExampleNewRemoteKeys() {
	keys, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{URL: "https://id.example.com/keys"})
	if err != nil {
		panic(err)
	}
	_, err = popauth.New(popauth.Options{Issuer: "https://id.example.com", Audience: []string{"orders"}, Keys: keys})
	fmt.Println(err, keys.Ready())
	// Output:
	// <nil> false
}

func ExampleStaticKeys() {
	issuer := popauthtest.NewIssuer(t)
	keys, err := popauth.StaticKeys(issuer.JWKS()) // a file, as a rule
	if err != nil {
		panic(err)
	}
	guard, err := popauth.New(popauth.Options{Issuer: issuer.URL, Audience: []string{popauthtest.Audience}, Keys: keys})
	if err != nil {
		panic(err)
	}
	show(guard.Authenticate(orders), httptest.NewRequest("GET", "/", http.NoBody))
	_, err = popauth.StaticKeys([]byte(`{"keys":[]}`))
	fmt.Println(err)
	// Output:
	// 401
	// popauth: StaticKeys: no usable key in the JWK Set
}
