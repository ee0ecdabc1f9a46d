package load

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/seed-171ab058/popauth/bench"
)

// identity is a certificate with its key, as it goes to a child.
type identity struct {
	Chain [][]byte
	Key   []byte // PKCS #8
}

func identityOf(c tls.Certificate) (identity, error) {
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	return identity{c.Certificate, key}, err
}

func (i identity) certificate() (tls.Certificate, error) {
	key, err := x509.ParsePKCS8PrivateKey(i.Key)
	return tls.Certificate{Certificate: i.Chain, PrivateKey: key}, err
}

// serverSettings say what a server protects its handler with.
type serverSettings struct {
	Kind   kind
	Side   string
	API    bench.API
	Own    identity
	Sample string // a token, for the signature alone
}

// kind is what a side is taken from.
type kind string

const (
	none      kind = "no middleware"
	signature kind = "signature alone"
	token     kind = "token"
	chain     kind = "chain"
)

var errSide = errors.New("no such side")

// middleware is what the settings name.
func (s serverSettings) middleware(ctx context.Context) (func(http.Handler) http.Handler, error) {
	sides := map[kind]func() []bench.Side{token: bench.TokenSides, chain: bench.ChainSides}[s.Kind]
	switch {
	case s.Kind == none:
		return func(next http.Handler) http.Handler { return next }, nil
	case s.Kind == signature:
		return s.signature()
	case sides != nil:
		for _, side := range sides() {
			if side.Name == s.Side {
				return side.Protect(ctx, s.API)
			}
		}
	}
	return nil, errSide
}

func (s serverSettings) signature() (func(http.Handler) http.Handler, error) {
	_, key, err := s.API.Key()
	if err != nil {
		return nil, err
	}
	verify, err := bench.Verify(key, s.Sample)
	if err != nil {
		return nil, err
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			verify[0]()
			next.ServeHTTP(w, r)
		})
	}, nil
}

// serve is the server's process. It says its address, and then as often as it is asked, what CPU time it has used and
// how often its handler has run.
func serve(in *bufio.Reader) error {
	var s serverSettings
	if err := settingsFrom(in, &s); err != nil {
		return err
	}
	own, err := s.Own.certificate()
	if err != nil {
		return err
	}
	protect, err := s.middleware(context.Background())
	if err != nil {
		return err
	}
	var ran atomic.Int64
	server := &http.Server{
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          log.Default(),
		Handler: protect(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			ran.Add(1)
			w.WriteHeader(http.StatusNoContent)
		})),
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() {
		ended <- server.Serve(tls.NewListener(listener, &tls.Config{
			Certificates: []tls.Certificate{own}, ClientAuth: tls.RequireAnyClientCert,
			MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"},
		}))
	}()
	fmt.Println(listener.Addr())
	for {
		if _, err := in.ReadString('\n'); err != nil {
			_ = server.Close() // with all its connections
			return errors.Join(err, closed(<-ended))
		}
		cpu, err := used()
		if err != nil {
			return err
		}
		fmt.Println(cpu, ran.Load())
	}
}

// closed leaves out what Close causes.
func closed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
