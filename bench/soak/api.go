//go:build unix

package soak

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/proxy"
	"github.com/seed-171ab058/popauth/redisreplay"
)

const (
	audience = "https://api.example.com"
	scope    = "orders.read"

	// refresh is RemoteKeysOptions.Refresh: an hour, as it comes, would leave most faults of the issuer unnoticed.
	refresh = 20 * time.Second

	plainPath = "/plain/who" // proofs without nonces
	noncePath = "/nonce/who" // with

	reasonHeader   = "X-Reason"   // of a refusal
	instanceHeader = "X-Instance" // whose answer it is
	senderHeader   = "X-Soak"     // of a request: what kind of sender it has
)

// apiSettings are what an API process is told.
type apiSettings struct {
	Name      string
	Listen    string // 127.0.0.1:0 at first, and after that where it was before
	Issuer    string
	Authority []byte // of the issuer's certificate, in DER
	Redis     string // its socket
	Base      string // the URL of the proxy
	Secret    string // of the proxy
	Nonces    []byte // the secret of nonces
}

// api is the API process.
type api struct {
	settings apiSettings
	clock    clock
	keys     *popauth.RemoteKeys

	mu      sync.Mutex
	reached map[string]int // requests that the handler has seen, by senders
}

// serve runs it until its input ends.
func serve(in *bufio.Reader, out io.Writer) error {
	a := &api{reached: map[string]int{}}
	line, err := in.ReadBytes('\n')
	if err != nil {
		return err
	}
	if err := errors.Join(json.Unmarshal(line, &a.settings), a.clock.check()); err != nil {
		return err
	}
	handler, err := a.handler()
	if err != nil {
		return err
	}
	// An instance without keys would hold requests for as long as the issuer takes. While it doesn't listen, nginx asks
	// the other one.
	for !a.keys.Ready() {
		if a.keys.Preload(context.Background()) != nil {
			time.Sleep(100 * time.Millisecond)
		}
	}
	listener, err := a.listen()
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: handler, ConnContext: proxy.ConnContext, ErrorLog: log.New(io.Discard, "", 0),
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
	}
	defer func() { _ = server.Close() }() // the process is about to end
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	if _, err := fmt.Fprintln(out, listener.Addr()); err != nil {
		return err
	}
	return a.obey(in, out)
}

// listen waits for a port that the process before has left a moment ago.
func (a *api) listen() (l net.Listener, err error) {
	for range 50 {
		if l, err = net.Listen("tcp", a.settings.Listen); err == nil {
			return l, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil, err
}

func (a *api) handler() (http.Handler, error) {
	verifier, err := a.verifier()
	if err != nil {
		return nil, err
	}
	redis.SetLogger(silent{})
	store, err := redisreplay.New(redis.NewClient(&redis.Options{
		Network: "unix", Addr: a.settings.Redis, ContextTimeoutEnabled: true,
	}), redisreplay.Options{Now: a.clock.Now})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := store.Check(ctx); err != nil {
		return nil, err
	}
	source, err := proxy.Certificate(proxy.Nginx("X-SSL-Client-Cert", "X-SSL-Client-Verify"), // as docs/proxies.md has it for nginx
		proxy.TrustPeers(netip.MustParsePrefix("127.0.0.1/32")), proxy.TrustSecret("X-Proxy-Secret", a.settings.Secret))
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	for path, settings := range map[string]dpop.Options{
		plainPath: {Replay: store, BaseURL: a.settings.Base},
		noncePath: {Replay: store, BaseURL: a.settings.Base, Nonces: dpop.StatelessNonces{Secrets: [][]byte{a.settings.Nonces}}},
	} {
		proofs, err := dpop.New(settings)
		if err != nil {
			return nil, err
		}
		guard, err := popauth.New(popauth.Options{
			Verifier: verifier, Confirmers: []popauth.Confirmer{popauth.MutualTLS{}, proofs},
			Certificate: source, Deny: deny, Now: a.clock.Now, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			return nil, err
		}
		mux.Handle(path, guard.Confirm(guard.Authorize(popauth.Bound(), popauth.Scope(scope))(http.HandlerFunc(a.who))))
	}
	return popauth.RequestLine{}.Handler(a.named(mux)), nil
}

// silent is a log of go-redis that nobody reads: an outage is what is looked for.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// verifier accepts the issuer's JWTs, and asks it about opaque tokens.
func (a *api) verifier() (popauth.Verifier, error) {
	authority, err := x509.ParseCertificate(a.settings.Authority)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, IdleConnTimeout: 30 * time.Second,
	}}
	a.keys, err = popauth.NewRemoteKeys(popauth.RemoteKeysOptions{
		Issuer: a.settings.Issuer, Client: client, Refresh: refresh, Now: a.clock.Now,
	})
	if err != nil {
		return nil, err
	}
	jwt, err := popauth.NewJWTVerifier(popauth.JWTOptions{
		Issuer: a.settings.Issuer, Audience: []string{audience}, Keys: a.keys, TokenTypes: []string{"at+jwt"}, Now: a.clock.Now,
	})
	if err != nil {
		return nil, err
	}
	opaque, err := introspection.New(introspection.Options{
		Issuer: a.settings.Issuer, Audience: []string{audience}, Client: client, Now: a.clock.Now,
		Authentication: introspection.ClientSecretBasic{ID: "api", Secret: "secret"},
	})
	if err != nil {
		return nil, err
	}
	return popauth.JWTOr(jwt, opaque), nil
}

// deny says why, which is for this program alone.
func deny(w http.ResponseWriter, _ *http.Request, e *popauth.Error) {
	w.Header().Set(reasonHeader, e.Reason.Error())
	w.WriteHeader(e.Status())
}

func (a *api) named(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(instanceHeader, a.settings.Name)
		next.ServeHTTP(w, r)
	})
}

// identity is who the handler has taken the caller for.
type identity struct {
	Client, Subject, Binding string
	Body                     int64 // of the request: bytes
}

func (a *api) who(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.reached[r.Header.Get(senderHeader)]++
	a.mu.Unlock()
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		return // its client has gone
	}
	p, ok := popauth.FromContext(r.Context())
	if !ok {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	var bindings []string
	for _, b := range p.Bindings {
		bindings = append(bindings, b.Value)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(identity{ // a client that has gone can't be told
		Client: p.ClientID, Subject: p.Subject, Binding: strings.Join(bindings, " "), Body: n,
	})
}

// state is what a process says of itself.
type state struct {
	Goroutines int
	Heap       uint64 // bytes that are in use after a garbage collection
	Reached    map[string]int
}

// obey answers commands: "clock" with a duration sets the clock, "state" asks for the state.
func (a *api) obey(in *bufio.Reader, out io.Writer) error {
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		var answer []byte
		switch name, value, _ := strings.Cut(strings.TrimSpace(line), " "); name {
		case "clock":
			offset, err := time.ParseDuration(value)
			if err != nil {
				return err
			}
			a.clock.set(offset)
			answer = []byte("set")
		case "state":
			if answer, err = json.Marshal(a.state()); err != nil {
				return err
			}
		default:
			return fmt.Errorf("command %q", name)
		}
		if _, err := out.Write(append(answer, '\n')); err != nil {
			return err
		}
	}
}

func (a *api) state() state {
	debug.FreeOSMemory() // or what is left of the last minute's garbage would look like growth
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	a.mu.Lock()
	defer a.mu.Unlock()
	reached := map[string]int{}
	for name, n := range a.reached {
		reached[name] = n
	}
	return state{Goroutines: runtime.NumGoroutine(), Heap: m.HeapAlloc, Reached: reached}
}
