package popclient_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

// by is a client of other make: connections and tokens of the credentials, brought together by golang.org/x/oauth2.
func by(c *popclient.Credentials) *http.Client {
	return &http.Client{Transport: &oauth2.Transport{
		Source: oauth2.ReuseTokenSource(nil, c), Base: &http.Transport{TLSClientConfig: c.TLSConfig()},
	}}
}

// Whoever has credentials of two certificates uses either with its own tokens, and with those alone.
func TestCredentials(t *testing.T) {
	s := newRealm(t)
	var certificate switched
	first := s.ca.Client("job")
	certificate.now.Store(&first.Certificate)
	m, _ := s.client(t, nil, func(o *popclient.MutualTLSOptions) {
		o.Certificate = certificate.certificate
	}).Transport.(*popclient.MutualTLS)
	get := func(c *http.Client, want int) {
		t.Helper()
		defer c.CloseIdleConnections()
		if status, _ := do(t, c, request(t, "GET", s.api.URL, nil)); status != want {
			t.Errorf("got %d, want %d", status, want)
		}
	}
	held := func() *popclient.Credentials {
		t.Helper()
		m.AskAgain()
		c, err := m.Credentials(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	old := held()
	if held() != old {
		t.Error("got other credentials, and the certificate is the same")
	}
	get(by(old), 200)
	get(by(old), 200)
	s.check(t, 1, 2)

	next := s.ca.Client("job")
	certificate.now.Store(&next.Certificate)
	current := held()
	if current == old || string(current.Certificate().Certificate[0]) != string(next.Certificate.Certificate[0]) {
		t.Fatal("got the credentials of the old certificate")
	}
	s.check(t, 2, 2)
	get(by(current), 200)
	get(by(old), 200)
	s.check(t, 2, 4)
	for _, mixed := range []*http.Transport{{TLSClientConfig: old.TLSConfig()}, {TLSClientConfig: &tls.Config{RootCAs: s.roots()}}} {
		get(&http.Client{Transport: &oauth2.Transport{Source: current, Base: mixed}}, 401)
	}
	s.check(t, 2, 4)

	// What the caller does with them is nothing to anybody else.
	config, c := current.TLSConfig(), current.Certificate()
	config.InsecureSkipVerify, config.ServerName, c.Certificate, c.PrivateKey = true, "x", nil, nil
	unknown, _ := stranger(t, s)
	config.RootCAs.AddCert(s.others[0])
	get(by(current), 200)
	if resp, err := by(current).Get(unknown); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("VULNERABLE: got %v, %v of a server that was not trusted", resp, err)
	}
}

// With a Key the tokens are bound to that, and say so.
func TestCredentialsWithKey(t *testing.T) {
	s := newRealm(t)
	key := newKey(t, "ES256")
	m, _ := s.client(t, s.ca.Client("job"), func(o *popclient.MutualTLSOptions) { o.Key = key }).Transport.(*popclient.MutualTLS)
	c, err := m.Credentials(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	base := &http.Transport{TLSClientConfig: c.TLSConfig()}
	defer base.CloseIdleConnections()
	if status, _ := do(t, &http.Client{Transport: &popclient.DPoP{Key: key, Source: c, Base: base}},
		request(t, "GET", s.api.URL, nil)); status != 200 {
		t.Errorf("got %d, want 200", status)
	}
	// Without the proof it is nothing.
	if status, _ := do(t, by(c), request(t, "GET", s.api.URL, nil)); status != 401 {
		t.Errorf("VULNERABLE: got %d, want 401", status)
	}
	s.check(t, 1, 1)
}

// Tokens are renewed as for requests, and what keeps them by their Expiry never has one that is not valid any more.
func TestCredentialsToken(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		m, _ := s.client.Transport.(*popclient.MutualTLS)
		start := time.Now()
		c, err := m.Credentials(t.Context())
		if err != nil || s.asked != 1 {
			t.Fatalf("got %v after %d token requests", err, s.asked)
		}
		kept := oauth2.ReuseTokenSource(nil, c)
		for _, test := range []struct {
			after time.Duration
			want  string
		}{{0, "t1"}, {229 * time.Second, "t1"}, {299 * time.Second, "t2"}} {
			time.Sleep(test.after - time.Since(start))
			token, err := kept.Token()
			if err != nil || token.AccessToken != test.want || token.TokenType != "Bearer" || token.RefreshToken != "" {
				t.Fatalf("%v: got %+v, %v, want %s", test.after, token, err, test.want)
			}
		}
		token, err := c.Token()
		if err != nil || token.Expiry.Sub(start) != 599*time.Second {
			t.Errorf("got %v, %v, want the end of t2", token, err)
		}
		time.Sleep(time.Hour)
		s.answer = func(int) (int, string) { return 200, `{"access_token":"t","token_type":"Bearer"}` }
		if token, err = c.Token(); err != nil || time.Until(token.Expiry) != 5*time.Minute {
			t.Errorf("got %v, %v, want five minutes without expires_in", token, err)
		}
		time.Sleep(time.Hour)
		s.answer = func(int) (int, string) { return 400, `{"error":"invalid_client"}` }
		var refusal *oauth2.RetrieveError
		if token, err := c.Token(); token != nil || !errors.As(err, &refusal) || refusal.ErrorCode != "invalid_client" {
			t.Errorf("got %v, %v, want the token endpoint's error", token, err)
		}
		time.Sleep(time.Minute)
		if got, err := m.Credentials(t.Context()); got != nil || !errors.As(err, &refusal) {
			t.Errorf("got %v, %v, want the token endpoint's error", got, err)
		}
	})
}

func TestNoCredentials(t *testing.T) {
	for name, m := range map[string]*popclient.MutualTLS{"nil": nil, "zero": {}} {
		if c, err := m.Credentials(context.Background()); err == nil || c != nil {
			t.Errorf("%s: got %v, %v, want an error", name, c, err)
		}
	}
	server := popauthtest.NewServer(t, http.NotFoundHandler())
	for name, c := range map[string]*popclient.Credentials{"nil": nil, "zero": {}} {
		if token, err := c.Token(); err == nil || token != nil || c.Certificate() != nil {
			t.Errorf("%s: got %v, %v, want an error", name, token, err)
		}
		config := c.TLSConfig()
		config.InsecureSkipVerify = true
		if conn, err := tls.Dial("tcp", server.Listener.Addr().String(), config); err == nil {
			conn.Close()
			t.Errorf("%s: got a connection", name)
		}
	}
}
