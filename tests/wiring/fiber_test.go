package wiring_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// fiber makes each handler a request of its own, with a TLS state of its own. It is one request all the same: its proof is
// used once, by the first stage, and again by nobody.
func TestStagesOverFiber(t *testing.T) {
	issuer, ca, key := popauthtest.NewIssuer(t), popauthtest.NewCA(t), popauthtest.NewProofKey(t, "")
	o := issuer.Options()
	var guards [2]*popauth.Guard
	for i := range guards { // each with a memory of its own: the same request passes through both
		proofs, err := dpop.New(dpop.Options{BaseURL: "https://api.example.com"})
		if err != nil {
			t.Fatal(err)
		}
		o.Confirmers = []popauth.Confirmer{proofs, popauth.MutualTLS{}}
		if guards[i], err = popauth.New(o); err != nil {
			t.Fatal(err)
		}
	}
	guard, other := guards[0], guards[1]
	for _, encrypted := range []bool{false, true} {
		app := fiber.New(fiber.Config{DisableStartupMessage: true})
		for _, stage := range []func(http.Handler) http.Handler{guard.Authenticate, other.Authenticate, guard.Confirm, other.Confirm} {
			app.Use(adaptor.HTTPMiddleware(lasting(stage)))
		}
		ran := 0
		app.Get("/orders", func(c *fiber.Ctx) error {
			ran++
			p, _ := popauth.FromContext(c.Context())
			return c.SendString(p.Subject)
		})
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		scheme := "http"
		if encrypted {
			scheme = "https"
			listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{ca.Server()},
				ClientAuth: tls.RequestClientCert})
		}
		go func() { _ = app.Listener(listener) }()
		owner := ca.Client("owner")
		client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{
			RootCAs: ca.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{owner.Certificate}}}}
		ask := func(header http.Header) (int, string) {
			r, err := http.NewRequest(http.MethodGet, scheme+"://"+listener.Addr().String()+"/orders", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header = header
			answer, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			body, _ := io.ReadAll(answer.Body)
			return answer.StatusCode, string(body)
		}
		for i := range 3 {
			token := issuer.Token(key.Bound(), popauthtest.Claims{"sub": "alice"})
			header := http.Header{"Authorization": {"DPoP " + token}, "Dpop": {key.Proof("GET", "https://api.example.com/orders", token)}}
			if status, body := ask(header); status != 200 || body != "alice" {
				t.Errorf("TLS %t, request %d: got %d %q, want alice", encrypted, i, status, body)
			}
			if status, _ := ask(header.Clone()); status != 401 {
				t.Errorf("TLS %t: the proof passed again on the connection: %d", encrypted, status)
			}
			if status, _ := ask(http.Header{}); status != 401 {
				t.Errorf("TLS %t: nobody passed: %d", encrypted, status)
			}
		}
		if ran != 3 {
			t.Errorf("TLS %t: the handler ran %d times, want 3", encrypted, ran)
		}
		client.CloseIdleConnections()
		_ = app.Shutdown()
	}
}

// endless is what context.WithoutCancel makes, in a form that fiber's adaptor can copy from.
type endless struct{ context.Context }

// Done returns nil.
func (*endless) Done() <-chan struct{} { return nil }

// lasting gives a stage a context that doesn't end: fasthttp's ends with the server, in a data race with whoever waits for it.
func lasting(stage func(http.Handler) http.Handler) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		h := stage(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.ServeHTTP(w, r.WithContext(&endless{r.Context()}))
		})
	}
}
