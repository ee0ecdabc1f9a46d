package popclient_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

// realm is an authorization server whose clients authenticate by certificate, and an API for their tokens, which
// answers with its caller's subject and the body.
type realm struct {
	ca     *popauthtest.CA
	issuer *popauthtest.Issuer
	api    *httptest.Server

	mu      sync.Mutex
	forms   []url.Values // of the token requests that were granted
	claims  popauthtest.Claims
	answers []func(http.ResponseWriter) bool // to the next token requests, instead of a token
	tokens  []string
	revoked map[string]bool
	others  []*x509.Certificate // of servers that clients trust too
	route   map[string]string   // paths of the API that redirect
	served  int                 // requests that reached the API's handler
	asked   int                 // requests to the API
}

func newRealm(t testing.TB) *realm {
	t.Helper()
	s := &realm{ca: popauthtest.NewCA(t), issuer: popauthtest.NewIssuer(t), revoked: map[string]bool{}}
	s.issuer.Metadata = popauthtest.Claims{
		"token_endpoint":        s.issuer.URL + "/nowhere",
		"mtls_endpoint_aliases": popauthtest.Claims{"token_endpoint": s.issuer.URL + "/mtls/token"},
	}
	job := must(t)(clientauth.SubjectDN("CN=job"))
	auth, err := clientauth.New(clientauth.Options{
		Clients:   clientauth.Static{"job": {{Credential: job}}},
		Endpoints: clientauth.PathPrefix("/mtls"),
		Roots:     s.ca.Pool(),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.issuer.Handle("/mtls/token", auth.Handler(s.token(auth)))

	options := s.issuer.Options()
	proofs, err := dpop.New(dpop.Options{URL: dpop.RequestURL})
	if err != nil {
		t.Fatal(err)
	}
	options.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, proofs}
	options.Revoked = func(_ context.Context, token *popauth.Token) (bool, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.revoked[token.TokenID()], nil
	}
	guard, err := popauth.New(options)
	if err != nil {
		t.Fatal(err)
	}
	handler := guard.Confirm(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.served++
		s.mu.Unlock()
		p, _ := popauth.FromContext(r.Context())
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", p.ClientID, body)
	}))
	s.api = popauthtest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked++
		s.mu.Unlock()
		if to, ok := s.route[r.URL.Path]; ok {
			http.Redirect(w, r, to, http.StatusTemporaryRedirect)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	return s
}

func must(t testing.TB) func(clientauth.Credential, error) clientauth.Credential {
	return func(c clientauth.Credential, err error) clientauth.Credential {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
}

// token is the token endpoint. A token is bound to the key of the proof, if there is one, else to the certificate.
func (s *realm) token(auth *clientauth.Authenticator) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client, err := auth.Authenticate(r)
		if err != nil {
			clientauth.WriteError(w, err)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.answers) > 0 {
			answer := s.answers[0]
			s.answers = s.answers[1:]
			if answer(w) {
				return
			}
		}
		s.forms = append(s.forms, r.PostForm)
		confirmation, typ := client.Confirmation(), "bearer"
		if proof := r.Header.Get("DPoP"); proof != "" {
			confirmation, typ = clientauth.Confirmation{JKT: jkt(proof)}, "DPoP"
		}
		token := s.issuer.Token(popauthtest.Claims{
			"cnf": confirmation, "client_id": client.ID, "jti": fmt.Sprint("t", len(s.forms)),
		}, s.claims)
		s.tokens = append(s.tokens, token)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":%q,"token_type":%q,"expires_in":300}`, token, typ)
	})
}

// refuse has the token endpoint answer the next request like this.
func (s *realm) refuse(status int, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = append(s.answers, func(w http.ResponseWriter) bool {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
		return true
	})
}

// revoke makes the API refuse the nth token, counted from 1.
func (s *realm) revoke(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked[fmt.Sprint("t", n)] = true
}

// check holds the number of tokens and of requests that the API has served against what it should be.
func (s *realm) check(t testing.TB, tokens, served int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.forms) != tokens || s.served != served {
		t.Errorf("got %d tokens and %d requests served, want %d and %d", len(s.forms), s.served, tokens, served)
	}
}

func (s *realm) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.issuer.Server.Certificate())
	pool.AddCert(s.api.Certificate())
	for _, c := range s.others {
		pool.AddCert(c)
	}
	return pool
}

func (s *realm) options(c *popauthtest.Client) popclient.MutualTLSOptions {
	o := popclient.MutualTLSOptions{Issuer: s.issuer.URL, ClientID: "job", RootCAs: s.roots()}
	if c != nil {
		o.Certificate = popclient.StaticCertificate(c.Certificate)
	}
	return o
}

// client is one of the API for the certificate.
func (s *realm) client(t testing.TB, c *popauthtest.Client, change ...func(*popclient.MutualTLSOptions)) *http.Client {
	t.Helper()
	o := s.options(c)
	for _, f := range change {
		f(&o)
	}
	m, err := popclient.NewMutualTLS(o)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: m}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// log is a logger and what it has been told.
func newLog() (*slog.Logger, func() string) {
	var mu sync.Mutex
	var b strings.Builder
	w := writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return b.Write(p)
	})
	return slog.New(slog.NewTextHandler(w, nil)), func() string {
		mu.Lock()
		defer mu.Unlock()
		return b.String()
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// jkt is the thumbprint of a proof's key.
func jkt(proof string) string {
	header, _, _ := strings.Cut(proof, ".")
	var h struct{ JWK json.RawMessage }
	if json.Unmarshal([]byte(decode(header)), &h) != nil {
		return ""
	}
	c, _ := clientauth.ConfirmationJWK(h.JWK)
	return c.JKT
}
