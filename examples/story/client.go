package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/seed-171ab058/popauth/popclient"
)

// callAPI is the process of the client. It knows only the token server, the API, and its own certificate.
func callAPI(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("client", flag.ContinueOnError)
	issuer := flags.String("issuer", "", "the token server")
	api := flags.String("api", "", "URL of the API")
	cert := flags.String("cert", "", "file of the certificate")
	key := flags.String("key", "", "file of its key")
	ca := flags.String("ca", "", "file of the authority of the servers")
	if err := flags.Parse(args); err != nil {
		return err
	}
	roots, err := readRoots(*ca)
	if err != nil {
		return err
	}
	transport, err := popclient.NewMutualTLS(popclient.MutualTLSOptions{
		Issuer:      *issuer,
		ClientID:    clientID,
		Certificate: popclient.CertificateFiles(*cert, *key),
		Scopes:      []string{"orders.read"},
		Resources:   []string{audience},
		Origins:     []string{*api},
		RootCAs:     roots,
	})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, *api+"/orders", http.NoBody)
	if err != nil {
		return err
	}
	answer, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	_, _ = fmt.Fprintf(out, "%d %s", answer.StatusCode, text)
	return err
}

// runClient runs that process, and then takes its token out of the API's log, as thieves do.
func (s *stage) runClient(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	//nolint:gosec // G204: this program
	c := exec.CommandContext(ctx, self, "client", "-issuer", s.issuer.Issuer, "-api", "https://"+s.nginx,
		"-cert", s.ownerFiles.cert, "-key", s.ownerFiles.key, "-ca", s.path("ca.crt"))
	text, err := c.Output()
	if err != nil {
		return fmt.Errorf("client: %w", failure(err))
	}
	got := strings.TrimSpace(string(text))
	s.say("%s shows its certificate to the token server, gets a token, and calls the API through nginx: %s", clientID, got)
	if got != "200 2 orders for "+clientID {
		return fmt.Errorf("the client got %q", got)
	}
	if err := s.steal(); err != nil {
		return err
	}
	return s.outlive(ctx)
}

// outlive gets a token that is good for a second, and waits until it has expired.
func (s *stage) outlive(ctx context.Context) error {
	answer, err := s.send(s.owner, askToken(ctx, s.issuer.MTLSToken, "brief"))
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	var issued struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&issued); err != nil || issued.Token == "" {
		return fmt.Errorf("no token for the client brief: %d, %w", answer.StatusCode, err)
	}
	s.expired = issued.Token
	select {
	case <-time.After(2 * time.Second):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// failure adds what the process said.
func failure(err error) error {
	if exit, ok := err.(*exec.ExitError); ok { //nolint:errorlint // Output returns it as it is
		return fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	return err
}

func (s *stage) steal() error {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(string(text), `"Bearer `)
	token, _, ok := strings.Cut(rest, `"`)
	if !ok {
		return fmt.Errorf("no token in the log: %s", text)
	}
	s.token = token
	var claims struct {
		Confirmation json.RawMessage `json:"cnf"`
	}
	if err := readPayload(token, &claims); err != nil {
		return err
	}
	if want := `{"x5t#S256":` + strconv.Quote(s.owner.Thumbprint()) + `}`; string(claims.Confirmation) != want {
		return fmt.Errorf("the token is bound to %s, want %s", claims.Confirmation, want)
	}
	s.say("The API has logged the token, and thieves have read the log. This is what it is bound to:\n\n  \"cnf\": %s\n",
		claims.Confirmation)
	return nil
}
