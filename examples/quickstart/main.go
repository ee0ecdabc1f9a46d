// Quickstart starts an issuer and an API on loopback, both with real TLS, gets a token bound to a client's certificate,
// and shows what the owner of the token gets and what thieves get.
//
//	go run ./examples/quickstart
//	go run ./examples/quickstart -serve    leaves the API up and prints curl commands
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"text/tabwriter"

	"github.com/go-chi/chi/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

const audience = "https://orders.example.com"

// routes is the API as you would write it: each route has its policies beside it.
func routes(guard *popauth.Guard) http.Handler {
	r := chi.NewRouter()
	r.Use(guard.Authenticate, guard.Confirm)
	r.With(guard.Authorize(popauth.Scope("orders.read"))).Get("/orders", listOrders)
	r.With(guard.Authorize(popauth.Scope("orders.write"))).Put("/orders", listOrders)
	return r
}

func listOrders(w http.ResponseWriter, r *http.Request) {
	caller, _ := popauth.FromContext(r.Context())
	_, _ = fmt.Fprintf(w, "2 orders for %s\n", caller.ClientID)
}

func main() {
	serve := flag.Bool("serve", false, "leave the API up and print curl commands")
	flag.Parse()
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, *serve); err != nil {
		stop()
		log.Fatal(err)
	}
}

// world is the rest of the story: an issuer, and clients with certificates.
type world struct {
	stage
	issuer         *popauthtest.Issuer
	api            *httptest.Server
	authority      *popauthtest.CA
	owner, thief   *popauthtest.Client
	reason         atomic.Value // of the last refusal, as the API's log would name it
	bound, unbound string
	expired        string
}

func newWorld() (*world, error) {
	w := &world{}
	w.issuer = popauthtest.NewIssuer(w)
	w.authority = popauthtest.NewCA(w)
	w.owner = w.authority.Client("orders-batch")
	w.thief = popauthtest.SelfSigned(w, "thief")
	w.issuer.Handle("POST /token", tokenEndpoint{w.issuer, map[string]string{w.owner.Thumbprint(): "orders-batch"}})

	options := w.issuer.Options(audience)
	options.Deny = func(rw http.ResponseWriter, _ *http.Request, e *popauth.Error) {
		w.reason.Store(e.Reason.Error())
		rw.WriteHeader(e.Status())
	}
	options.Logger = slog.New(slog.DiscardHandler) // the last column says why
	guard, err := popauth.New(options)
	if err != nil {
		return nil, err
	}
	w.api = popauthtest.NewServer(w, popauth.RequestLine{}.Handler(routes(guard)), func(c *tls.Config) {
		c.Certificates = []tls.Certificate{w.authority.Server()}
		c.ClientAuth = tls.RequestClientCert // enough for the binding: the handshake proves possession
	})
	return w, nil
}

func run(ctx context.Context, out io.Writer, serve bool) error {
	w, err := newWorld()
	if err != nil {
		return err
	}
	defer w.close()
	_, _ = fmt.Fprintf(out, "issuer  %s\napi     %s\n\n", w.issuer.URL, w.api.URL)
	if w.bound, err = w.fetchToken(w.owner); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "orders-batch shows its certificate at the issuer's token endpoint and gets a token with\n  \"cnf\": "+
		"{\"x5t#S256\": %q}\n\n",
		w.owner.Thumbprint())
	w.unbound = w.issuer.Token(popauthtest.Claims{"aud": audience, "scope": "orders.read"})
	w.expired = w.issuer.Token(w.owner.Bound(), popauthtest.Claims{"aud": audience, "scope": "orders.read", "exp": 1})
	if err := w.table(out); err != nil {
		return err
	}
	if !serve {
		return nil
	}
	return w.serve(ctx, out)
}

// table asks the API as each caller would, and fails if an answer is not the one expected.
func (w *world) table(out io.Writer) error {
	nobody := (*popauthtest.Client)(nil)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "CALLER\tREQUEST\tTOKEN\tCERTIFICATE\tANSWER\tWHY (only in the API's log)")
	wrong := 0
	for _, c := range []struct {
		caller, method, token, shown, certificate string
		client                                    *popauthtest.Client
		want                                      string
	}{
		{"owner", "GET", w.bound, "its own", "its own", w.owner, "200"},
		{"thief", "GET", w.bound, "the owner's", "none", nobody, "401 invalid_token"},
		{"thief", "GET", w.bound, "the owner's", "another", w.thief, "401 invalid_token"},
		{"owner", "GET", w.expired, "expired", "its own", w.owner, "401 invalid_token"},
		{"owner", "PUT", w.bound, "its own, no orders.write", "its own", w.owner, "403 insufficient_scope"},
		{"anyone", "GET", w.unbound, "not bound", "its own", w.owner, "401 invalid_token"},
		{"anyone", "GET", "", "none", "none", nobody, "401"},
	} {
		w.reason.Store("")
		got, err := call(c.client.HTTP(w.api), c.method, w.api.URL+"/orders", c.token)
		if err != nil {
			return err
		}
		if got != c.want {
			wrong++
			got += " (expected " + c.want + ")"
		}
		_, _ = fmt.Fprintf(t, "%s\t%s /orders\t%s\t%s\t%s\t%s\n", c.caller, c.method, c.shown, c.certificate, got, w.reason.Load())
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if wrong > 0 {
		return fmt.Errorf("%d answers are not as expected", wrong)
	}
	return nil
}

// call returns the status and the error that the challenge names.
func call(c *http.Client, method, url, token string) (string, error) {
	r, err := http.NewRequest(method, url, http.NoBody)
	if err != nil {
		return "", err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := c.Do(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	_, rest, _ := strings.Cut(answer.Header.Get("WWW-Authenticate"), `error="`)
	code, _, _ := strings.Cut(rest, `"`)
	return strings.TrimSpace(fmt.Sprint(answer.StatusCode, " ", code)), nil
}
