// Behind-nginx starts an API on loopback and, in front of it, the installed nginx with ../nginx.conf. It shows what the
// owner of a token gets through it and what thieves get.
//
//	go run ./examples/proxies/behind-nginx
//	go run ./examples/proxies/behind-nginx -serve    leaves both up and prints curl commands
package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"text/tabwriter"

	"github.com/go-chi/chi/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/examples/proxies"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

const audience = "https://orders.example.com"

// behindNginx is where the API takes certificates from: all that differs from one that ends TLS itself.
func behindNginx(secret string) (popauth.CertificateSource, error) {
	return proxy.Certificate(proxy.Nginx("X-SSL-Client-Cert", "X-SSL-Client-Verify"),
		proxy.TrustPeers(netip.MustParsePrefix("127.0.0.1/32")),
		proxy.TrustSecret("X-Proxy-Secret", secret))
}

func routes(guard *popauth.Guard) http.Handler {
	r := chi.NewRouter()
	r.Use(guard.Authenticate, guard.Confirm)
	r.With(guard.Authorize(popauth.Scope("orders.read"))).Get("/orders", listOrders)
	return r
}

func listOrders(w http.ResponseWriter, r *http.Request) {
	caller, _ := popauth.FromContext(r.Context())
	_, _ = fmt.Fprintf(w, "2 orders for %s\n", caller.ClientID)
}

func main() {
	serve := flag.Bool("serve", false, "leave nginx and the API up and print curl commands")
	flag.Parse()
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, *serve); err != nil {
		stop()
		log.Fatal(err)
	}
}

// world is what the story needs beside the API.
type world struct {
	cleanup      []func()
	authority    *popauthtest.CA
	owner, thief *popauthtest.Client
	token        string
	api          *httptest.Server
	nginx        *proxies.Proxy
	reason       atomic.Value // of the last refusal, as the API's log would name it
}

// These let a program use popauthtest as a test does.

func (w *world) Helper()                      {}
func (w *world) Cleanup(f func())             { w.cleanup = append(w.cleanup, f) }
func (w *world) Fatalf(f string, args ...any) { log.Fatalf(f, args...) }

func (w *world) close() {
	for _, f := range slices.Backward(w.cleanup) {
		f()
	}
}

func (w *world) open() error {
	issuer := popauthtest.NewIssuer(w)
	w.authority = popauthtest.NewCA(w)
	w.owner, w.thief = w.authority.Client("orders-batch"), popauthtest.SelfSigned(w, "thief")
	w.token = issuer.Token(w.owner.Bound(),
		popauthtest.Claims{"aud": audience, "client_id": "orders-batch", "scope": "orders.read"})

	secret := rand.Text()
	options := issuer.Options(audience)
	source, err := behindNginx(secret)
	if err != nil {
		return err
	}
	options.Certificate = source
	options.Deny = func(rw http.ResponseWriter, _ *http.Request, e *popauth.Error) {
		w.reason.Store(e.Reason.Error())
		rw.WriteHeader(e.Status())
	}
	options.Logger = slog.New(slog.DiscardHandler) // the last column says why
	guard, err := popauth.New(options)
	if err != nil {
		return err
	}
	w.api = httptest.NewUnstartedServer(popauth.RequestLine{}.Handler(routes(guard)))
	w.api.Config.ConnContext = proxy.ConnContext // whatever sets RemoteAddr later, this is the peer
	w.api.Start()
	w.Cleanup(w.api.Close)

	w.nginx, err = proxies.Start("nginx", proxies.Settings{
		API: w.api.Listener.Addr().String(), Secret: secret, Server: w.authority.Server(), Clients: w.authority.PEM(),
	})
	if err != nil {
		return err
	}
	w.Cleanup(w.nginx.Stop)
	return nil
}

func run(ctx context.Context, out io.Writer, serve bool) error {
	if _, err := proxies.Find("nginx"); err != nil {
		return explained(err)
	}
	w := &world{}
	defer w.close()
	if err := w.open(); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "nginx  https://%s\napi    %s\n\n", w.nginx.Address, w.api.URL)
	if err := w.table(out); err != nil || !serve {
		return err
	}
	return w.serve(ctx, out)
}

func explained(err error) error {
	if errors.Is(err, proxies.ErrMissing) {
		return fmt.Errorf("%w: this example needs nginx 1.13.5 or newer (apt-get, dnf or brew install nginx)", err)
	}
	return err
}

// forged is what nginx would send for the owner's certificate. A certificate is no secret.
func (w *world) forged() http.Header {
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.owner.Certificate.Certificate[0]})
	return http.Header{
		"X-Ssl-Client-Cert":   {strings.ReplaceAll(url.QueryEscape(string(text)), "+", "%20")},
		"X-Ssl-Client-Verify": {"SUCCESS"},
	}
}

// table asks as each caller would, and fails if an answer is not the one expected.
func (w *world) table(out io.Writer) error {
	nginx, forged := "https://"+w.nginx.Address, w.forged()
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "CALLER\tTOKEN\tCERTIFICATE\tCERTIFICATE HEADERS\tANSWER\tWHY (only in the API's log)")
	wrong := 0
	for _, c := range []struct {
		caller, token, certificate, headers string
		client                              *popauthtest.Client
		url                                 string
		header                              http.Header
		want                                string
	}{
		{"owner", "its own", "its own", "none", w.owner, nginx, nil, "200"},
		{"owner", "its own", "its own", "forged", w.owner, nginx, forged, "200"},
		{"thief", "the owner's", "none", "none", nil, nginx, nil, "401 invalid_token"},
		{"thief", "the owner's", "another", "none", w.thief, nginx, nil, "401 invalid_token"},
		{"thief", "the owner's", "none", "forged", nil, nginx, forged, "401 invalid_token"},
		{"thief", "the owner's", "another", "forged", w.thief, nginx, forged, "401 invalid_token"},
		{"thief, around nginx", "the owner's", "none", "forged", nil, w.api.URL, forged, "400"},
	} {
		w.reason.Store("")
		got, err := w.call(c.client, c.url, c.header)
		if err != nil {
			return err
		}
		if got != c.want {
			wrong++
			got += " (expected " + c.want + ")"
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", c.caller, c.token, c.certificate, c.headers, got, w.reason.Load())
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
func (w *world) call(as *popauthtest.Client, target string, header http.Header) (string, error) {
	config := &tls.Config{RootCAs: w.authority.Pool(), MinVersion: tls.VersionTLS12}
	if as != nil {
		config.Certificates = []tls.Certificate{as.Certificate}
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequest(http.MethodGet, target+"/orders", http.NoBody)
	if err != nil {
		return "", err
	}
	for name, values := range header {
		r.Header[name] = values
	}
	r.Header.Set("Authorization", "Bearer "+w.token)
	answer, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	_, rest, _ := strings.Cut(answer.Header.Get("WWW-Authenticate"), `error="`)
	code, _, _ := strings.Cut(rest, `"`)
	return strings.TrimSpace(fmt.Sprint(answer.StatusCode, " ", code)), nil
}

// serve writes what curl needs into a directory, prints commands that work when pasted, and waits.
func (w *world) serve(ctx context.Context, out io.Writer) error {
	dir, err := os.MkdirTemp("", "popauth-behind-nginx-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ca, token := filepath.Join(dir, "nginx-ca.crt"), filepath.Join(dir, "owner.token")
	if err := errors.Join(os.WriteFile(ca, w.authority.PEM(), 0o600), os.WriteFile(token, []byte(w.token), 0o600)); err != nil {
		return err
	}
	cert, key, err := w.owner.WritePEM(dir)
	if err != nil {
		return err
	}
	curl := fmt.Sprintf("curl -i --cacert %s -H \"Authorization: Bearer $(cat %s)\" https://%s/orders", ca, token, w.nginx.Address)
	_, _ = fmt.Fprintf(out, `
Both stay up until you press Ctrl-C. Paste into another terminal:

# the owner: 200
%s --cert %s --key %s

# a thief without certificate, who forges the header: 401
%s -H "X-SSL-Client-Cert: %s" -H "X-SSL-Client-Verify: SUCCESS"
`, curl, cert, key, curl, w.forged().Get("X-SSL-Client-Cert"))
	<-ctx.Done()
	return nil
}
