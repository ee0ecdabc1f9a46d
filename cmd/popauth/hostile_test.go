package main

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
)

// against is a lab whose servers do what the test says, and the files that reach them.
func against(t *testing.T, h http.Handler) (*lab, *httptest.Server) {
	t.Helper()
	l := newLab(t)
	server := popauthtest.NewServer(t, h)
	l.file("server.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	l.file("token", []byte(l.issuer.Token()))
	return l, server
}

// A redirect is an answer: the token goes nowhere else, whoever sends it there.
func TestCallFollowsNoRedirect(t *testing.T) {
	var stolen atomic.Bool
	elsewhere := popauthtest.NewServer(t, http.HandlerFunc(func(_ http.ResponseWriter, _ *http.Request) { stolen.Store(true) }))
	l, server := against(t, http.RedirectHandler(elsewhere.URL+"/", http.StatusTemporaryRedirect))
	l.file("both.pem", append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: elsewhere.Certificate().Raw})...))
	for name, args := range map[string][]string{
		"certificate": nil, "key": {"--dpop"},
		"own token": {"--token-endpoint", server.URL + "/token", "--client-id", "x", "--dpop"},
	} {
		args = append([]string{"call", server.URL, "--ca", l.path("both.pem")}, args...)
		if name == "own token" {
			t.Setenv(secretVariable, "a secret")
		} else {
			args = append(args, "--token-file", l.path("token"))
		}
		status, out, errOut := l.run("", args...)
		if stolen.Load() {
			t.Fatalf("VULNERABLE: %s: another server got a request: %s%s", name, out, errOut)
		}
		if name != "own token" && (status != exitOK || !strings.Contains(errOut, "307 Temporary Redirect")) {
			t.Errorf("%s: got %d, %s%s", name, status, out, errOut)
		}
	}
}

// A server that binds nothing gives no token that is taken for a bound one.
func TestTokenNotBound(t *testing.T) {
	l := newLab(t)
	l.issuer.Handle("POST /token", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":60}`, l.issuer.Token())
	}))
	t.Setenv(secretVariable, "a secret")
	base := []string{"--issuer", l.issuer.URL, "--ca", l.path("ca.pem"), "--client-id", "x", "--dpop"}
	for _, command := range [][]string{{"token", "--out", l.path("out")}, {"call", l.issuer.URL + "/orders"}} {
		status, out, errOut := l.run("", append(command, base...)...)
		if status != exitUsage || out != "" || !strings.Contains(errOut, "Bearer") || strings.Contains(errOut, "/orders: ") {
			t.Errorf("%s: got %d, %s%s, want that the token is not bound", command[0], status, out, errOut)
		}
	}
}

// What a server says can't print a secret, nor move the cursor, nor fill the memory.
func TestCallHostileServer(t *testing.T) {
	l, server := against(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/token":
			_ = r.ParseForm()
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_, secret, _ := r.BasicAuth()
			_, _ = fmt.Fprintf(w, `{"error":"invalid_client","error_description":"your secret is %s, %s, \u001b[31m"}`, secret,
				r.Header.Get("Authorization"))
		case "/large":
			for range 70 {
				_, _ = w.Write(make([]byte, 1<<20))
			}
		default:
			w.Header().Set("WWW-Authenticate", "Bearer error=\"\u009b31m "+r.Header.Get("Authorization")+"\"")
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	const secret = "correct horse battery staple"
	t.Setenv(secretVariable, secret)
	cert, key, err := l.owner.WritePEM(l.dir)
	if err != nil {
		t.Fatal(err)
	}
	token := l.issuer.Token()
	l.file("token", []byte(token))
	for name, args := range map[string][]string{
		"token endpoint": {"token", "--token-endpoint", server.URL + "/token", "--client-id", "x", "--dpop"},
		"with a certificate": {"token", "--token-endpoint", server.URL + "/token", "--client-id", "x", "--cert", cert, "--key", key,
			"--auth", "client_secret_basic"},
		"the same, -v":   {"token", "--token-endpoint", server.URL + "/token", "--client-id", "x", "--dpop", "-v"},
		"by certificate": {"call", server.URL + "/", "--token-file", l.path("token")},
		"-v":             {"call", server.URL + "/", "--token-file", l.path("token"), "-v"},
		"by key":         {"call", server.URL + "/", "--token-file", l.path("token"), "--dpop"},
		"large":          {"call", server.URL + "/large", "--token-file", l.path("token")},
	} {
		status, out, errOut := l.run("", append(args, "--ca", l.path("server.pem"))...)
		if status == exitOK || len(out) > 1<<20 {
			t.Errorf("%s: got %d and %d bytes", name, status, len(out))
		}
		for _, bad := range []string{secret, "correct+horse+battery+staple", token, base64.StdEncoding.EncodeToString([]byte("x:correct")),
			"\x1b", "\u009b"} {
			if strings.Contains(out+errOut, bad) {
				t.Errorf("%s: printed %q: %s", name, bad, errOut)
			}
		}
	}
}

// A server that ignores the resource, as some do, is told by the token's aud.
func TestTokenForAnotherResource(t *testing.T) {
	l := newLab(t)
	key := popauthtest.NewProofKey(t, "")
	l.issuer.Handle("POST /token", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"access_token":%q,"token_type":"DPoP","expires_in":60}`, l.issuer.Token(key.Bound()))
	}))
	t.Setenv(secretVariable, "a secret")
	status, out, errOut := l.run("", "token", "--issuer", l.issuer.URL, "--ca", l.path("ca.pem"), "--client-id", "x", "--dpop",
		"--resource", "https://b.example", "--resource", popauthtest.Audience)
	if status != exitOK || !strings.Contains(errOut, "not for the resource https://b.example") ||
		strings.Contains(errOut, "resource "+popauthtest.Audience) || !strings.Contains(errOut, "an API must refuse it") {
		t.Errorf("got %d, %s%s", status, out, errOut)
	}
}

// An answer that comes byte by byte ends with --timeout.
func TestCallSlowBody(t *testing.T) {
	l, server := against(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = w.Write([]byte{'x'})
			_ = http.NewResponseController(w).Flush()
			time.Sleep(20 * time.Millisecond)
		}
	}))
	for _, more := range [][]string{nil, {"-v"}, {"--dpop"}} {
		done := make(chan string, 1)
		go func() {
			status, _, errOut := l.run("", append([]string{"call", server.URL, "--token-file", l.path("token"), "--ca",
				l.path("server.pem"), "--timeout", "300ms"}, more...)...)
			done <- fmt.Sprint(status, " ", errOut)
		}()
		select {
		case got := <-done:
			if !strings.HasPrefix(got, "2 ") || !strings.Contains(got, "deadline") {
				t.Errorf("%v: got %s, want a deadline", more, got)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%v: it doesn't end", more)
			server.CloseClientConnections()
		}
	}
}
