package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/seed-171ab058/popauth/examples/proxies"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// stage is everybody who takes part.
type stage struct {
	out     io.Writer
	cleanup []func()
	dir     string

	authority               *popauthtest.CA     // of every certificate that is not self-signed
	owner                   *popauthtest.Client // CN=orders-batch
	edge                    *popauthtest.Client // self-signed, registered by thumbprint
	outdated                *popauthtest.Client // the owner's certificate of yesterday
	colleague               *popauthtest.Client // of the same authority, registered as nobody
	namesake                *popauthtest.Client // self-signed, with the owner's name
	keyless                 *popauthtest.Client // the owner's certificate, with another key
	ownerFiles, serverFiles struct{ cert, key string }

	issuer     tokenServer
	api, nginx string // addresses
	log        string // file of the API
	secret     string // that the API and nginx share
	token      string // as thieves have it
	expired    string // a token of the client brief, which has the same certificate
}

// tokenServer is the line that the token server prints.
type tokenServer struct {
	Issuer    string `json:"issuer"`
	Token     string `json:"token_endpoint"`
	MTLSToken string `json:"mtls_token_endpoint"`
}

// These let a program use popauthtest as a test does.

func (s *stage) Helper()                      {}
func (s *stage) Cleanup(f func())             { s.cleanup = append(s.cleanup, f) }
func (s *stage) Fatalf(f string, args ...any) { log.Fatalf(f, args...) }

// registerClients makes the certificates, and the token server's file of clients.
func (s *stage) registerClients() error {
	var err error
	if s.dir, err = os.MkdirTemp("", "popauth-story-"); err != nil {
		return err
	}
	s.Cleanup(func() { _ = os.RemoveAll(s.dir) })
	s.authority = popauthtest.NewCA(s)
	s.owner, s.colleague = s.authority.Client(clientID), s.authority.Client("colleague")
	s.edge, s.namesake = popauthtest.SelfSigned(s, "edge"), popauthtest.SelfSigned(s, clientID)
	s.outdated = s.authority.Client(clientID, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
	})
	s.keyless = &popauthtest.Client{Certificate: tls.Certificate{
		Certificate: s.owner.Certificate.Certificate, PrivateKey: s.colleague.Certificate.PrivateKey,
	}}

	type credential map[string]string
	type registration struct {
		Seconds     int          `json:"access_token_seconds,omitempty"`
		Credentials []credential `json:"credentials"`
		Scope       string       `json:"scope"`
		Resources   []string     `json:"resources"`
	}
	register := func(c ...credential) registration { return registration{0, c, "orders.read", []string{audience}} }
	brief := register(credential{"credential": "subject_dn=CN=" + clientID})
	brief.Seconds = 1
	clients, err := json.MarshalIndent(map[string]registration{
		clientID:  register(credential{"credential": "subject_dn=CN=" + clientID}),
		"edge":    register(credential{"credential": "thumbprint=" + s.edge.Thumbprint()}),
		"brief":   brief,
		"retired": register(credential{"credential": "subject_dn=CN=" + clientID, "expires": "2020-01-01T00:00:00Z"}),
	}, "", "  ")
	if err != nil {
		return err
	}
	var owner, server error
	s.ownerFiles.cert, s.ownerFiles.key, owner = s.owner.WritePEM(s.dir)
	s.serverFiles.cert, s.serverFiles.key, server = (&popauthtest.Client{Certificate: s.authority.Server()}).WritePEM(s.dir)
	s.say("registered: client %s by the subject CN=%s of its certificate,", clientID, clientID)
	s.say("            client edge by the thumbprint %s", s.edge.Thumbprint())
	return errors.Join(owner, server,
		os.WriteFile(s.path("ca.crt"), s.authority.PEM(), 0o600),
		os.WriteFile(s.path("clients.json"), clients, 0o600))
}

func (s *stage) path(name string) string { return filepath.Join(s.dir, name) }

// startTokenServer builds it first, since it is a module of its own, with dependencies of its own.
func (s *stage) startTokenServer(ctx context.Context) error {
	s.say("building ../tokenserver …")
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/seed-171ab058/popauth").Output()
	if err != nil {
		return fmt.Errorf("go list: %w; run this in the repository", err)
	}
	binary := s.path("tokenserver")
	build := exec.CommandContext(ctx, "go", "build", "-C", //nolint:gosec // G204: the repository's own directory
		filepath.Join(strings.TrimSpace(string(root)), "examples", "tokenserver"), "-o", binary, ".")
	build.Env = append(os.Environ(), "GOWORK=off")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("go build examples/tokenserver: %w", err)
	}
	line, err := s.start(ctx, nil, binary, "-clients", s.path("clients.json"),
		"-cert", s.serverFiles.cert, "-key", s.serverFiles.key, "-client-ca", s.path("ca.crt"))
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(line), &s.issuer); err != nil {
		return err
	}
	var metadata struct {
		Aliases struct {
			Token string `json:"token_endpoint"`
		} `json:"mtls_endpoint_aliases"`
	}
	if err := s.read(ctx, s.issuer.Issuer+"/.well-known/oauth-authorization-server", &metadata); err != nil {
		return err
	}
	s.say("token server  %s, token endpoint for certificates %s", s.issuer.Issuer, metadata.Aliases.Token)
	return nil
}

func (s *stage) startAPI(ctx context.Context) (err error) {
	s.log, s.secret = s.path("api.log"), rand.Text()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	// Not among the arguments, which everybody on the machine can read.
	secret := []string{"PROXY_SECRET=" + s.secret}
	s.api, err = s.start(ctx, secret, self, "api", "-issuer", s.issuer.Issuer, "-ca", s.path("ca.crt"), "-log", s.log)
	if err == nil {
		s.say("api           http://%s, meant for nginx alone", s.api)
	}
	return err
}

func (s *stage) startNginx(context.Context) error {
	nginx, err := proxies.Start("nginx", proxies.Settings{
		API: s.api, Secret: s.secret, Server: s.authority.Server(), Clients: s.authority.PEM(),
	})
	if err != nil {
		return err
	}
	s.Cleanup(nginx.Stop)
	s.nginx = nginx.Address
	s.say("nginx         https://%s, in front of the API\n", s.nginx)
	return nil
}

// start runs a program until the end of the story, and returns the first line that it prints. It is ended by its process
// id, also when ctx ends.
func (s *stage) start(ctx context.Context, env []string, program string, args ...string) (string, error) {
	first := &firstLine{line: make(chan string, 1)}
	errs, err := os.Create(s.path(filepath.Base(program) + ".err"))
	if err != nil {
		return "", err
	}
	ctx, stop := context.WithCancel(ctx)
	c := exec.CommandContext(ctx, program, args...) //nolint:gosec // G204: this program, and one that it has built
	c.Env = append(os.Environ(), env...)
	c.Stdout, c.Stderr = first, errs
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = 5 * time.Second
	if err := c.Start(); err != nil {
		stop()
		return "", errors.Join(err, errs.Close())
	}
	ended := make(chan struct{})
	go func() {
		_ = c.Wait()
		close(ended)
	}()
	s.Cleanup(func() {
		stop()
		<-ended
		_ = errs.Close()
	})
	select {
	case line := <-first.line:
		return line, nil
	case <-ended:
	case <-time.After(20 * time.Second):
	}
	text, _ := os.ReadFile(errs.Name())
	return "", fmt.Errorf("%s has not started: %s", filepath.Base(program), text)
}

// read gets JSON from the token server.
func (s *stage) read(ctx context.Context, url string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	answer, err := s.send(nil, r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	return json.NewDecoder(answer.Body).Decode(into)
}
