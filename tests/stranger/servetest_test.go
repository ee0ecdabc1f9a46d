package stranger_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// bed is what `popauth serve-test --json` prints.
type bed struct {
	*testing.T `json:"-"`

	API    string            `json:"api"`
	Files  map[string]string `json:"files"`
	Tokens map[string]string `json:"tokens"`
}

// as is a client with the certificate of somebody, or without any.
func (b bed) as(who string) *http.Client {
	b.Helper()
	authority, err := os.ReadFile(b.Files["ca"])
	if err != nil {
		b.Fatal(err)
	}
	config := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	config.RootCAs.AppendCertsFromPEM(authority)
	if who != "" {
		certificate, err := tls.LoadX509KeyPair(b.Files[who+"-cert"], b.Files[who+"-key"])
		if err != nil {
			b.Fatal(err)
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}, Timeout: 30 * time.Second}
}

func (b bed) get(who, url, token string) (status int, body string) {
	b.Helper()
	r, err := http.NewRequest(http.MethodGet, url, http.NoBody)
	if err != nil {
		b.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := b.as(who).Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		b.Fatal(err)
	}
	return answer.StatusCode, strings.TrimSpace(string(text))
}

// serveTest has the installed command serve an issuer and an API, and asks the API as the owner of a token and as a thief.
func (c command) serveTest() {
	c.Helper()
	server := exec.Command(c.program, "serve-test", "--json")
	server.Dir, server.Env = c.dir, c.env
	out, err := server.StdoutPipe()
	if err != nil {
		c.Fatal(err)
	}
	if err := server.Start(); err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() {
		_ = server.Process.Signal(os.Interrupt) // so that it removes its files
		_ = server.Wait()
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		c.Fatalf("serve-test: %v", err)
	}
	b := bed{T: c.T}
	if err := json.Unmarshal(line, &b); err != nil {
		c.Fatalf("serve-test: %v: %s", err, line)
	}
	_, token := b.get("", b.Tokens["certificate"], "")
	for who, want := range map[string]int{"owner": http.StatusOK, "thief": http.StatusUnauthorized} {
		if got, body := b.get(who, b.API, token); got != want {
			c.Errorf("serve-test, %s: got %d, %s, want %d", who, got, body, want)
		}
	}
}
