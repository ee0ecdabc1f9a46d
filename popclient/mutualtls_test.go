package popclient_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

func TestMutualTLS(t *testing.T) {
	s := newRealm(t)
	client := s.client(t, s.ca.Client("job"), func(o *popclient.MutualTLSOptions) {
		o.Scopes, o.Resources = []string{"orders.read", "orders.write"}, []string{"https://a.example.com", "urn:b"}
		o.Params = map[string][]string{"audience": {"x"}}
	})
	for range 3 {
		if status, body := do(t, client, request(t, "POST", s.api.URL+"/orders", strings.NewReader("coffee"))); status != 200 ||
			body != "job coffee" {
			t.Errorf("got %d %q, want 200 job coffee", status, body)
		}
	}
	s.check(t, 1, 3)
	if got, want := s.forms[0].Encode(), "audience=x&client_id=job&grant_type=client_credentials&resource=https%3A%2F%2Fa.example.com&"+
		"resource=urn%3Ab&scope=orders.read+orders.write"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	// Whoever has got hold of the token has nothing.
	for name, thief := range map[string]*popauthtest.Client{"no certificate": nil, "another": s.ca.Client("job")} {
		r := request(t, "GET", s.api.URL, nil)
		r.Header.Set("Authorization", "Bearer "+s.tokens[0])
		if status, _ := do(t, thief.HTTP(s.api), r); status != 401 {
			t.Errorf("VULNERABLE: %s: got %d, want 401", name, status)
		}
	}
	s.check(t, 1, 3)
}

func TestMutualTLSWithKey(t *testing.T) {
	s := newRealm(t)
	key := newKey(t, "ES256")
	client := s.client(t, s.ca.Client("job"), func(o *popclient.MutualTLSOptions) { o.Key = key })
	for range 2 {
		if status, _ := do(t, client, request(t, "GET", s.api.URL, nil)); status != 200 {
			t.Errorf("got %d, want 200", status)
		}
	}
	s.check(t, 1, 2)
	s.revoke(1)
	if status, body := do(t, client, request(t, "POST", s.api.URL, strings.NewReader("x"))); status != 200 || body != "job x" {
		t.Errorf("got %d %q, want 200 with a fresh token", status, body)
	}
	s.check(t, 2, 3)
	// The certificate alone is not what these tokens are bound to.
	r := request(t, "GET", s.api.URL, nil)
	r.Header.Set("Authorization", "Bearer "+s.tokens[1])
	if status, _ := do(t, s.ca.Client("job").HTTP(s.api), r); status != 401 {
		t.Errorf("VULNERABLE: got %d, want 401", status)
	}
}

// HTTP/2 is spoken where the transport that was given would, whether it has been used or not.
func TestMutualTLSProtocols(t *testing.T) {
	s := newRealm(t)
	api := popauthtest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) }))
	s.others = append(s.others, api.Certificate())
	for name, test := range map[string]struct {
		transport *http.Transport
		want      string
	}{
		"none":    {nil, "HTTP/2.0"},
		"zero":    {&http.Transport{}, "HTTP/2.0"},
		"own TLS": {&http.Transport{TLSClientConfig: &tls.Config{}}, "HTTP/1.1"},
		"off":     {&http.Transport{TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}}, "HTTP/1.1"},
	} {
		for range 2 {
			client := s.client(t, s.ca.Client("job"), func(o *popclient.MutualTLSOptions) { o.Transport = test.transport })
			if _, got := do(t, client, request(t, "GET", api.URL, nil)); got != test.want {
				t.Errorf("%s: got %s, want %s", name, got, test.want)
			}
		}
	}
}

// What the caller's transport presents by itself is not sent beside the certificate: not to the API, and not to
// strangers.
func TestMutualTLSOneCertificate(t *testing.T) {
	s := newRealm(t)
	other, seen := stranger(t, s)
	s.route = map[string]string{"/away": other}
	own := s.ca.Client("own").Certificate
	for name, config := range map[string]*tls.Config{
		"list":     {Certificates: []tls.Certificate{own}},
		"function": {GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }},
	} {
		*seen, config.RootCAs = nil, s.roots()
		client := s.client(t, s.ca.Client("job"), func(o *popclient.MutualTLSOptions) {
			o.Transport = &http.Transport{TLSClientConfig: config}
		})
		if status, _ := do(t, client, request(t, "GET", s.api.URL+"/away", nil)); status != 200 || len(*seen) != 1 ||
			(*seen)[0].certificates != 0 {
			t.Errorf("VULNERABLE: %s: got %d, %+v", name, status, *seen)
		}
		if status, body := do(t, client, request(t, "GET", s.api.URL, nil)); status != 200 || body != "job " {
			t.Errorf("%s: got %d %q, want 200", name, status, body)
		}
	}
}
