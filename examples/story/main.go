// Story runs everything at once, on loopback: a token server, an API behind nginx, a client that gets a token by its
// certificate and calls the API with both, and thieves who have the token, the certificate and the headers, but not the
// key. Each is a process of its own. It ends with a table of expected and actual answers, and with status 0 if they match.
//
//	go run ./examples/story
//
// It needs nginx. api.go is the API, client.go the client, thieves.go the attacks, and ../tokenserver the token server.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/seed-171ab058/popauth/examples/proxies"
)

const (
	audience = "https://orders.example.com" // by which tokens name the API
	clientID = "orders-batch"
)

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := role(os.Args[1:])(ctx, os.Stdout); err != nil {
		stop()
		log.Fatal(err)
	}
}

// role is this process's part: the program starts itself again for the API and for the client.
func role(args []string) func(context.Context, io.Writer) error {
	switch {
	case len(args) == 0:
		return tell
	case args[0] == "api":
		return func(ctx context.Context, out io.Writer) error { return serveAPI(ctx, args[1:], out) }
	case args[0] == "client":
		return func(ctx context.Context, out io.Writer) error { return callAPI(ctx, args[1:], out) }
	}
	return func(context.Context, io.Writer) error { return errors.New("usage: go run ./examples/story") }
}

// tell starts everybody, and tells what happens.
func tell(ctx context.Context, out io.Writer) (err error) {
	if _, err := proxies.Find("nginx"); err != nil {
		return explained(err)
	}
	s := &stage{out: out}
	defer func() {
		s.close()
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
	}()
	if err := errors.Join(s.registerClients(), ctx.Err()); err != nil {
		return err
	}
	for _, start := range []func(context.Context) error{s.startTokenServer, s.startAPI, s.startNginx, s.runClient} {
		if err := start(ctx); err != nil {
			return err
		}
	}
	return s.runThieves(ctx)
}

func explained(err error) error {
	if errors.Is(err, proxies.ErrMissing) {
		return fmt.Errorf("%w: this example needs nginx 1.13.5 or newer (apt-get, dnf or brew install nginx)", err)
	}
	return err
}

func (s *stage) say(format string, args ...any) { _, _ = fmt.Fprintf(s.out, format+"\n", args...) }

// close ends, in the opposite order, all that was started, and removes the files.
func (s *stage) close() {
	for _, end := range slices.Backward(s.cleanup) {
		end()
	}
}

// firstLine is the first line that a process prints. The rest is read and dropped, so that the process never blocks.
type firstLine struct {
	buffer bytes.Buffer
	line   chan string
	done   bool
}

func (f *firstLine) Write(p []byte) (int, error) {
	if f.done {
		return len(p), nil
	}
	f.buffer.Write(p)
	if line, _, ok := bytes.Cut(f.buffer.Bytes(), []byte("\n")); ok {
		f.done = true
		f.line <- string(line)
	}
	return len(p), nil
}
