// Keycloak runs a Keycloak of its own and an API guarded by popauth. One client gets a token bound to its certificate, one a
// token bound to its DPoP key, and both call the API. Thieves with those tokens are refused.
//
//	go run -C examples/keycloak .
//	go run -C examples/keycloak . -serve    leaves Keycloak and the API up and prints curl commands
//
// It needs Java 17 or newer. README.md says what to change for a realm of your own.
package main

import (
	"context"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
)

// settings are the flags.
type settings struct {
	home  string
	serve bool
}

func main() {
	log.SetFlags(0)
	var s settings
	flag.StringVar(&s.home, "home", os.Getenv("KC_HOME"),
		"`directory` of a Keycloak, which is copied; by default $KC_HOME, or else "+keycloakVersion+" is downloaded")
	flag.BoolVar(&s.serve, "serve", false, "leave Keycloak and the API up and print curl commands")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s, os.Stdout); err != nil {
		stop()
		log.Fatal(err)
	}
}

// world is everybody who takes part.
type world struct {
	out     io.Writer
	cleanup []func()
	dir     string // is removed at the end
	started time.Time

	authority    *popauthtest.CA     // of the servers and their clients
	batch, thief *popauthtest.Client // CN=orders-batch, and another client of the same authority
	partner      *popauthtest.CA     // which Keycloak trusts, too
	namesake     *popauthtest.Client // CN=orders-batch, by the partner
	secrets      secrets

	keycloak keycloak
	api      api
}

func run(ctx context.Context, s settings, out io.Writer) (err error) {
	w := &world{out: out, started: time.Now()}
	defer func() {
		w.close()
		if err != nil && ctx.Err() != nil {
			err = errors.New("interrupted")
		}
	}()
	if w.dir, err = os.MkdirTemp("", "popauth-keycloak-"); err != nil {
		return err
	}
	w.Cleanup(func() { _ = os.RemoveAll(w.dir) })
	w.authority, w.partner = w.newCA("Orders CA"), w.newCA("Partner CA")
	w.batch, w.thief = w.authority.Client("orders-batch"), w.authority.Client("thief")
	w.namesake = w.partner.Client("orders-batch")
	w.secrets = newSecrets()
	home, err := w.distribution(ctx, s.home)
	if err != nil {
		return err
	}
	if err := w.startKeycloak(ctx, home); err != nil {
		return err
	}
	if err := w.startAPI(); err != nil {
		return err
	}
	if err := w.table(ctx); err != nil || !s.serve {
		return err
	}
	return w.wait(ctx)
}

func (w *world) newCA(name string) *popauthtest.CA {
	return popauthtest.NewCA(w, func(c *x509.Certificate) { c.Subject.CommonName = name })
}

func (w *world) say(format string, args ...any) { _, _ = fmt.Fprintf(w.out, format+"\n", args...) }

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

// These let a program use popauthtest as a test does.

func (w *world) Helper()                      {}
func (w *world) Cleanup(f func())             { w.cleanup = append(w.cleanup, f) }
func (w *world) Fatalf(f string, args ...any) { log.Fatalf(f, args...) }

// close ends, in the opposite order, all that was started, and removes the files.
func (w *world) close() {
	for _, end := range slices.Backward(w.cleanup) {
		end()
	}
}
