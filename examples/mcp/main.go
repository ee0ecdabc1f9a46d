// Mcp is a Model Context Protocol server whose access tokens only work for the agent that they were issued to. It
// starts an authorization server and the MCP server on loopback, both with real TLS. Two agents, clients of the official
// Go SDK, know only the server's address and their own credentials. The refusal of their first request names the
// protected resource metadata (RFC 9728). These name the authorization server, which issues tokens bound to a DPoP key
// (RFC 9449) or to the agent's certificate (RFC 8705). Then thieves try stolen tokens and proofs, and one agent tries
// the other's session, with a good token of its own.
//
//	go run -C examples/mcp .
package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientauth"
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
	if err := w.start(); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "authorization server  %s\nMCP server            %s\n", w.issuer.URL, w.endpoint)
	return tell(out, w.story(ctx))
}

// tell runs the story, and fails if a step ends otherwise than expected.
func tell(out io.Writer, story []step) error {
	wrong := 0
	for i, s := range story {
		got, err := s.do()
		if err != nil {
			got = "error: " + err.Error()
		}
		verdict := ""
		if got != s.want {
			verdict = "   <- not as expected"
			wrong++
		}
		_, _ = fmt.Fprintf(out, "\n%d. %s %s\n   expected  %s\n   got       %s%s\n", i+1, s.who, s.what, s.want, got, verdict)
	}
	if wrong > 0 {
		return fmt.Errorf("%d of %d steps are not as expected", wrong, len(story))
	}
	return nil
}

// world is the two servers.
type world struct {
	stage
	issuer   *popauthtest.Issuer
	api      *httptest.Server
	endpoint string // the MCP server's address, which is its resource identifier too
	roots    *x509.CertPool
	session  *mcp.ClientSession // the first agent's
}

var clients = map[string]registration{
	"reporting-agent": {"a secret of the reporting agent", []string{"orders.read"}},
	"service-agent":   {"a secret of the service agent", []string{"orders.read", "orders.cancel"}},
}

func (w *world) start() error {
	mux := http.NewServeMux()
	w.issuer, w.api = popauthtest.NewIssuer(w), popauthtest.NewServer(w, popauth.RequestLine{}.Handler(mux))
	w.endpoint = w.api.URL + "/mcp"
	w.roots = x509.NewCertPool()
	w.roots.AddCert(w.api.Certificate())
	w.roots.AddCert(w.issuer.Server.Certificate())

	tokens, err := dpop.New(dpop.Options{BaseURL: w.issuer.URL, Algorithms: []string{"ES256"}})
	if err != nil {
		return err
	}
	auth, err := clientauth.New(clientauth.Options{DPoP: tokens})
	if err != nil {
		return err
	}
	w.issuer.Handle("POST /token", &tokenEndpoint{w.issuer, w.endpoint, clients, auth})
	w.issuer.Metadata = popauthtest.Claims{
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic"},
		"code_challenge_methods_supported":      []string{"S256"}, // the SDK wants it of every server
		"dpop_signing_alg_values_supported":     []string{"ES256"},
	}

	options := w.issuer.Options(w.endpoint) // in production: popauth.Options{Issuer: …, Audience: …}
	proofs, err := dpop.New(dpop.Options{BaseURL: w.api.URL})
	if err != nil {
		return err
	}
	options.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, proofs}
	options.Resource = popauth.Resource{
		ID:     w.endpoint,
		Name:   "Orders",
		Scopes: []string{"orders.cancel"}, // what a tool asks for: the Guard can't see inside
	}
	options.Deny = popauth.ProblemDetails
	options.Logger = slog.New(slog.DiscardHandler) // what is refused here is meant to be
	guard, err := popauth.New(options)
	if err != nil {
		return err
	}
	return routes(mux, guard, orders())
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
