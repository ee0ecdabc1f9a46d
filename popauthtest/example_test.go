package popauthtest_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth/popauthtest"
)

// program stands in for the *testing.T of a test.
type program struct{ cleanup []func() }

func (p *program) Helper()                   {}
func (p *program) Cleanup(f func())          { p.cleanup = append(p.cleanup, f) }
func (p *program) Fatalf(f string, a ...any) { log.Panicf(f, a...) }

func (p *program) close() {
	for len(p.cleanup) > 0 {
		last := len(p.cleanup) - 1
		f := p.cleanup[last]
		p.cleanup = p.cleanup[:last]
		f()
	}
}

// A bound token, verified with the keys that the issuer serves.
func Example() {
	t := &program{} // in a test, its *testing.T
	defer t.close()

	issuer := popauthtest.NewIssuer(t)
	owner := popauthtest.NewCA(t).Client("orders-batch")
	token := issuer.Token(owner.Bound(), popauthtest.Claims{"scope": "orders.read"})

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	keys, err := keyfunc.NewDefaultOverrideCtx(ctx, []string{issuer.JWKSURL()}, keyfunc.Override{Client: issuer.Client()})
	if err != nil {
		log.Panic(err)
	}
	var claims struct {
		jwt.RegisteredClaims
		Scope        string
		Confirmation map[string]string `json:"cnf"`
	}
	_, err = jwt.ParseWithClaims(token, &claims, keys.Keyfunc, jwt.WithIssuer(issuer.URL))
	fmt.Println(err, claims.Scope, claims.Confirmation["x5t#S256"] == owner.Thumbprint())
	// Output: <nil> orders.read true
}

// A handler on its own, without a connection.
func ExampleClient_Request() {
	t := &program{}
	defer t.close()

	owner := popauthtest.SelfSigned(t, "orders-batch")
	r := owner.Request("GET", "/orders", "a token")
	fmt.Println(r.TLS.PeerCertificates[0].Subject, r.Header.Get("Authorization"))

	var nobody *popauthtest.Client
	r = nobody.Request("GET", "/orders", "")
	fmt.Println(len(r.TLS.PeerCertificates), len(r.Header))
	// Output:
	// CN=orders-batch Bearer a token
	// 0 0
}

// The whole way, through a handshake with mutual TLS.
func ExampleClient_HTTP() {
	t := &program{}
	defer t.close()

	server := popauthtest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Proto, " ", r.TLS.PeerCertificates[0].Subject)
	}))
	owner := popauthtest.NewCA(t).Client("orders-batch")
	response, err := owner.HTTP(server).Get(server.URL)
	if err != nil {
		log.Panic(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	fmt.Printf("%s\n", body)
	// Output: HTTP/2.0 CN=orders-batch
}

// The issuer's server takes further routes: here a token endpoint that binds tokens to the certificate it sees.
func ExampleIssuer_Handle() {
	t := &program{}
	defer t.close()

	issuer := popauthtest.NewIssuer(t)
	owner := popauthtest.SelfSigned(t, "orders-batch")
	issuer.Handle("POST /token", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "a token for %s", r.TLS.PeerCertificates[0].Subject)
	}))

	response, err := owner.HTTP(issuer.Server).Post(issuer.URL+"/token", "", nil)
	if err != nil {
		log.Panic(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	fmt.Printf("%s\n", body)
	// Output: a token for CN=orders-batch
}

// A token that expires without anybody waiting.
func ExampleClock() {
	t := &program{}
	defer t.close()

	clock := popauthtest.NewClock(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC))
	issuer := popauthtest.NewIssuer(t)
	issuer.Now = clock.Now
	token := issuer.Token()

	keys, err := keyfunc.NewJWKSetJSON(issuer.JWKS())
	if err != nil {
		log.Panic(err)
	}
	parse := func() error {
		_, err := jwt.Parse(token, keys.Keyfunc, jwt.WithTimeFunc(clock.Now))
		return err
	}
	fmt.Println(parse())
	clock.Advance(6 * time.Minute)
	fmt.Println(parse())
	// Output:
	// <nil>
	// token has invalid claims: token is expired
}
