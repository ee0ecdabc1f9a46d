// Existing is a service with JWT middleware of its own. It keeps that, and adds popauth after it for the confirmation.
//
//	go run ./examples/existing -secret ... -cert server.crt -key server.key
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth"
)

// What was there before.

type tokenKey struct{}

// requireJWT is the existing middleware: HMAC, its own claims, its own answers.
func requireJWT(secret []byte, next http.Handler) http.Handler {
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired(), jwt.WithAudience("orders"))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		token, err := parser.Parse(raw, func(*jwt.Token) (any, error) { return secret, nil })
		if err != nil {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tokenKey{}, token)))
	})
}

// What is new.

// verified tells popauth that a token has been verified already.
type verified struct{}

// Verify accepts only the token that requireJWT has put into the context. Without the comparison, a second request
// with this context would pass with any token.
func (verified) Verify(ctx context.Context, token string) (*popauth.Token, error) {
	if t, ok := ctx.Value(tokenKey{}).(*jwt.Token); ok && t.Valid && t.Raw == token {
		return popauth.TrustJWT(token)
	}
	return nil, errors.New("not verified by requireJWT")
}

func routes(secret []byte) (http.Handler, error) {
	guard, err := popauth.New(popauth.Options{Verifier: verified{}})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	// Bound tokens need their certificate; older unbound ones still pass.
	mux.Handle("GET /orders", requireJWT(secret, guard.Authenticate(http.HandlerFunc(orders))))
	// This one takes bound tokens only.
	mux.Handle("PUT /orders", requireJWT(secret, guard.Confirm(http.HandlerFunc(orders))))
	return mux, nil
}

func orders(w http.ResponseWriter, r *http.Request) {
	subject := ""
	if token, ok := r.Context().Value(tokenKey{}).(*jwt.Token); ok { // the handlers read the token as before
		subject, _ = token.Claims.GetSubject()
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = fmt.Fprintf(w, "orders of %q\n", subject) //nolint:gosec // plain text, and quoted
}

func main() {
	secret := flag.String("secret", os.Getenv("JWT_SECRET"), "the service's HMAC secret")
	addr := flag.String("addr", "127.0.0.1:8443", "where to listen")
	cert := flag.String("cert", "server.crt", "this server's certificate, PEM")
	key := flag.String("key", "server.key", "its key, PEM")
	flag.Parse()
	if len(*secret) < 32 {
		log.Fatal("a secret of at least 32 bytes is needed")
	}
	h, err := routes([]byte(*secret))
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{
		Addr: *addr, Handler: popauth.RequestLine{}.Handler(h), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert},
	}
	log.Fatal(server.ListenAndServeTLS(*cert, *key))
}
