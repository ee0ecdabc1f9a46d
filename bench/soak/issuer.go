//go:build unix

package soak

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// tokenLife is short, so that clients renew their tokens all the time, and longer than any outage.
const tokenLife = 2 * time.Minute

// mode is how the issuer answers.
type mode int

const (
	well    mode = iota
	hanging      // takes requests, and says nothing until it is well
	limited      // 429
)

// retryAfter is what a limited issuer asks for, in seconds.
const retryAfter = "5"

// issuer is an authorization server with a token endpoint for clients with certificates. Its listener can be closed and
// opened again, which that of a test server can't.
type issuer struct {
	*popauthtest.Issuer
	address string
	config  *tls.Config
	handler http.Handler
	proofs  *dpop.Confirmer

	mu         sync.Mutex
	server     *http.Server
	mode       mode
	changed    chan struct{} // closed when the mode changes
	registered map[string]registration
	last       map[string]string // the newest token of each client
}

// registration is a client that the issuer knows by its certificate.
type registration struct {
	name   string
	opaque bool // its tokens
}

func newIssuer(tb popauthtest.TB, authority *popauthtest.CA) (*issuer, error) {
	i := &issuer{
		Issuer: popauthtest.NewIssuer(tb, "ES256"), registered: map[string]registration{}, last: map[string]string{},
		changed: make(chan struct{}), address: "127.0.0.1:0",
		config: &tls.Config{
			Certificates: []tls.Certificate{authority.Server()}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12,
			NextProtos: []string{"h2", "http/1.1"},
		},
	}
	i.handler = i.Server.Config.Handler
	if err := i.open(); err != nil {
		return nil, err
	}
	i.URL = "https://" + i.address
	var err error
	if i.proofs, err = dpop.New(dpop.Options{BaseURL: i.URL}); err != nil {
		return nil, err
	}
	i.Handle("POST /token", http.HandlerFunc(i.token))
	return i, nil
}

// open listens, again at the same address.
func (i *issuer) open() error {
	var l net.Listener
	var err error
	for range 50 {
		if l, err = net.Listen("tcp", i.address); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.address = l.Addr().String()
	server := &http.Server{
		Handler: http.HandlerFunc(i.serve), TLSConfig: i.config, ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: log.New(io.Discard, "", 0),
	}
	i.server = server
	go func() {
		if err := server.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
			log.Println("issuer:", err)
		}
	}()
	return nil
}

// close ends the listener and all connections.
func (i *issuer) close() {
	i.mu.Lock()
	defer i.mu.Unlock()
	_ = i.server.Close() // its connections may have ended by themselves
}

func (i *issuer) set(m mode) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.mode = m
	close(i.changed)
	i.changed = make(chan struct{})
}

func (i *issuer) serve(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	m, changed := i.mode, i.changed
	i.mu.Unlock()
	switch m {
	case hanging:
		select {
		case <-changed:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler) // to return would be an answer
		}
	case limited:
		w.Header().Set("Retry-After", retryAfter)
		w.WriteHeader(http.StatusTooManyRequests)
		return
	case well:
	}
	i.handler.ServeHTTP(w, r)
}

func (i *issuer) register(c *popauthtest.Client, r registration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.registered[c.Thumbprint()] = r
}

// token is the token endpoint: the client's certificate says who asks, and what the token is bound to unless a proof
// does.
func (i *issuer) token(w http.ResponseWriter, r *http.Request) {
	if len(r.TLS.PeerCertificates) == 0 {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	thumbprint := popauth.Thumbprint(r.TLS.PeerCertificates[0])
	i.mu.Lock()
	client, ok := i.registered[thumbprint]
	i.mu.Unlock()
	if !ok {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	binding, typ := popauthtest.Claims{"x5t#S256": thumbprint}, "Bearer"
	if r.Header.Get("DPoP") != "" {
		key, err := i.proofs.ProveKey(w.Header(), r, time.Now())
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		binding, typ = popauthtest.Claims{"jkt": key}, "DPoP"
	}
	token := i.mint(client, tokenLife, popauthtest.Claims{"cnf": binding})
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{ // a client that has gone can't be told
		"access_token": token, "token_type": typ, "expires_in": int(tokenLife / time.Second),
	})
}

// mint makes a token of a client, and remembers it for thieves.
func (i *issuer) mint(c registration, life time.Duration, claims ...popauthtest.Claims) string {
	all := append([]popauthtest.Claims{{
		"aud": audience, "client_id": c.name, "sub": "sub-" + c.name, "scope": scope, "exp": time.Now().Add(life).Unix(),
	}}, claims...)
	var token string
	if c.opaque {
		token = i.Opaque(all...)
	} else {
		token = i.Token(all...)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.last[c.name] = token
	return token
}

// stolen is the newest token of a client; "" if it has none yet.
func (i *issuer) stolen(name string) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.last[name]
}
