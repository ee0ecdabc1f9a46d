// Dpop is a single-page app that calls an API with tokens bound to a key in the browser (RFC 9449). It starts an
// issuer, an API and the page, each an origin of its own on loopback, and prints the page's address. The page makes a
// key that can't be exported, gets a token bound to it, calls the API, and shows that copies of the proof and of the
// token are refused.
//
//	go run -C examples/dpop .
//
// Three things that browsers need and other clients don't:
//
//   - CORS is the outermost handler, outside of every Guard. A preflight has no credentials, so a Guard would refuse it,
//     and the browser would never send the request. A 401 without CORS headers reaches the script as a network error.
//     CORS must expose WWW-Authenticate and DPoP-Nonce, or the script can't read the nonce.
//   - The page's Content-Security-Policy allows only its own files. An injected script can't steal the key, but could
//     use it for as long as the page is open (section 11.4).
//   - WebCrypto works in secure contexts only. http://localhost is one, so this example needs no certificates. Elsewhere
//     page, token endpoint and API must all use https.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
)

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		stop()
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer) error {
	w := &world{}
	defer w.close()
	if err := w.start(out); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "token endpoint  %s/token\napi             %s/orders\n\n"+
		"Open %s in a browser. Ctrl-C ends it.\nWhat the API refuses is logged here, with the reason that clients don't get:\n\n",
		w.login, w.api, w.page)
	<-ctx.Done()
	return nil
}

// world is the three origins of the story. The issuer's metadata and keys are on a fourth, over TLS, for the API alone.
type world struct {
	stage
	issuer           *popauthtest.Issuer
	page, login, api string
}

func (w *world) start(logs io.Writer) error {
	var listeners [3]net.Listener
	for i, origin := range []*string{&w.page, &w.login, &w.api} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		w.Cleanup(func() { _ = l.Close() })
		listeners[i] = l
		*origin = fmt.Sprintf("http://localhost:%d", l.Addr().(*net.TCPAddr).Port) //nolint:errcheck // a tcp listener's
	}
	w.issuer = popauthtest.NewIssuer(w)
	w.issuer.Metadata = popauthtest.Claims{"token_endpoint": w.login + "/token"}
	tokens, err := newTokenEndpoint(w.issuer, w.login, w.api)
	if err != nil {
		return err
	}
	options, err := w.options(logs)
	if err != nil {
		return err
	}
	guard, err := popauth.New(options)
	if err != nil {
		return err
	}
	login := http.NewServeMux()
	login.Handle("/token", crossOrigin(w.page, http.MethodPost)(tokens))
	for i, h := range []http.Handler{pageHandler(w.login, w.api), login,
		popauth.RequestLine{Logger: options.Logger}.Handler(routes(guard, w.page))} {
		s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute}
		w.Cleanup(func() { _ = s.Close() })
		go func() { _ = s.Serve(listeners[i]) }()
	}
	return nil
}

// options are what an API needs for DPoP. Processes that serve the same API share the nonces' secret, and Replay.
func (w *world) options(logs io.Writer) (popauth.Options, error) {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)
	proofs, err := dpop.New(dpop.Options{
		BaseURL: w.api, // refuses a proof for another host, whatever Host says
		Nonces:  dpop.StatelessNonces{Secrets: [][]byte{secret}},
	})
	if err != nil {
		return popauth.Options{}, err
	}
	o := w.issuer.Options(w.api)
	o.TokenTypes = []string{"at+jwt"} // this issuer writes it; other types would also accept ID tokens
	o.Confirmers = []popauth.Confirmer{proofs}
	o.Logger = slog.New(slog.NewTextHandler(logs, nil))
	return o, nil
}

// stage lets a program use popauthtest as a test does.
type stage struct{ cleanup []func() }

func (s *stage) Helper()                      {}
func (s *stage) Cleanup(f func())             { s.cleanup = append(s.cleanup, f) }
func (s *stage) Fatalf(f string, args ...any) { log.Fatalf(f, args...) }

func (s *stage) close() {
	for _, f := range slices.Backward(s.cleanup) {
		f()
	}
}
