package popclient_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

func TestMutualTLSOptions(t *testing.T) {
	job := popclient.StaticCertificate(popauthtest.NewCA(t).Client("job").Certificate)
	good := popclient.MutualTLSOptions{Issuer: "https://id.example.com/x", ClientID: "job", Certificate: job}
	for name, test := range map[string]struct {
		change func(*popclient.MutualTLSOptions)
		want   string // "" is no error
	}{
		"good": {func(*popclient.MutualTLSOptions) {}, ""},
		"all": {func(o *popclient.MutualTLSOptions) {
			o.Scopes, o.Resources, o.Origins = []string{"a", "b:c/d"}, []string{"https://a/b?c", "urn:x"}, []string{"https://a"}
			o.Params, o.Key, o.Timeout = url.Values{"audience": {"x"}}, newKey(t, "ES256"), time.Second
		}, ""},
		"no server":    {func(o *popclient.MutualTLSOptions) { o.Issuer = "" }, "either Issuer or TokenURL"},
		"two servers":  {func(o *popclient.MutualTLSOptions) { o.TokenURL = "https://x" }, "either Issuer or TokenURL"},
		"issuer http":  {func(o *popclient.MutualTLSOptions) { o.Issuer = "http://127.0.0.1" }, ".Issuer: not https"},
		"issuer query": {func(o *popclient.MutualTLSOptions) { o.Issuer += "?" }, ".Issuer: has a query"},
		"token http": {func(o *popclient.MutualTLSOptions) { o.Issuer, o.TokenURL = "", "http://127.0.0.1/token" },
			".TokenURL: not https"},
		"token password": {func(o *popclient.MutualTLSOptions) { o.Issuer, o.TokenURL = "", "https://a:b@x/token" }, ".TokenURL: no URL"},
		"no client":      {func(o *popclient.MutualTLSOptions) { o.ClientID = "" }, ".ClientID: empty"},
		"no certificate": {func(o *popclient.MutualTLSOptions) { o.Certificate = nil }, ".Certificate: nil, want"},
		"broken": {func(o *popclient.MutualTLSOptions) {
			o.Certificate = func(context.Context) (*tls.Certificate, error) { return nil, errors.New("no vault") }
		}, ".Certificate: no vault"},
		"panics": {func(o *popclient.MutualTLSOptions) {
			o.Certificate = func(context.Context) (*tls.Certificate, error) { panic("no vault") }
		}, "panicked: no vault"},
		"scope empty":      {func(o *popclient.MutualTLSOptions) { o.Scopes = []string{""} }, ".Scopes"},
		"two in one scope": {func(o *popclient.MutualTLSOptions) { o.Scopes = []string{"a b"} }, ".Scopes"},
		"resource path":    {func(o *popclient.MutualTLSOptions) { o.Resources = []string{"urn:x", "/a"} }, ".Resources: entry 1"},
		"resource #":       {func(o *popclient.MutualTLSOptions) { o.Resources = []string{"https://a#"} }, ".Resources: entry 0"},
		"resource #b":      {func(o *popclient.MutualTLSOptions) { o.Resources = []string{"https://a#b"} }, ".Resources: entry 0"},
		"resource broken":  {func(o *popclient.MutualTLSOptions) { o.Resources = []string{"https://%"} }, ".Resources: entry 0"},
		"grant":            {func(o *popclient.MutualTLSOptions) { o.Params = url.Values{"grant_type": {"x"}} }, `.Params: "grant_type"`},
		"client":           {func(o *popclient.MutualTLSOptions) { o.Params = url.Values{"client_id": {"x"}} }, `.Params: "client_id"`},
		"secret": {func(o *popclient.MutualTLSOptions) { o.Params = url.Values{"client_secret": {"x"}} },
			`.Params: "client_secret"`},
		"assertion": {func(o *popclient.MutualTLSOptions) { o.Params = url.Values{"client_assertion": {"x"}} },
			`.Params: "client_assertion"`},
		"assertion type": {func(o *popclient.MutualTLSOptions) { o.Params = url.Values{"client_assertion_type": {"x"}} },
			`.Params: "client_assertion_type"`},
		"scope":     {func(o *popclient.MutualTLSOptions) { o.Params = url.Values{"scope": {"x"}} }, `.Params: "scope"`},
		"resource":  {func(o *popclient.MutualTLSOptions) { o.Params = url.Values{"resource": {"x"}} }, `.Params: "resource"`},
		"key":       {func(o *popclient.MutualTLSOptions) { o.Key = &popclient.Key{} }, ".Key: popclient: no key"},
		"origin":    {func(o *popclient.MutualTLSOptions) { o.Origins = []string{"https://a/b"} }, "MutualTLSOptions.Origins: entry 0"},
		"timeout":   {func(o *popclient.MutualTLSOptions) { o.Timeout = -1 }, ".Timeout: negative"},
		"transport": {func(o *popclient.MutualTLSOptions) { o.Transport = &http.Transport{} }, ""},
		"own TLS": {func(o *popclient.MutualTLSOptions) {
			o.Transport = &http.Transport{DialTLSContext: func(context.Context, string, string) (net.Conn, error) { return nil, nil }}
		}, "dials TLS itself"},
		"own TLS, old": {func(o *popclient.MutualTLSOptions) {
			//nolint:staticcheck // SA1019: it would be used all the same
			o.Transport = &http.Transport{DialTLS: func(string, string) (net.Conn, error) { return nil, nil }}
		}, "dials TLS itself"},
		"no verification": {func(o *popclient.MutualTLSOptions) {
			//nolint:gosec // G402: it is what is refused
			o.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
		}, "does not verify servers"},
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			test.change(&o)
			m, err := popclient.NewMutualTLS(o)
			if (err == nil) != (test.want == "") || (m == nil) != (test.want != "") ||
				err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	_, err := popclient.NewMutualTLS(popclient.MutualTLSOptions{Scopes: []string{""}, Timeout: -1})
	if got := strings.Count(err.Error(), "popclient: MutualTLSOptions"); got != 5 {
		t.Errorf("got %d problems, want all 5: %v", got, err)
	}
}

// What isn't made by NewMutualTLS sends nothing.
func TestMutualTLSNotMade(t *testing.T) {
	for name, m := range map[string]*popclient.MutualTLS{"nil": nil, "zero": {}} {
		m.CloseIdleConnections()
		body := &closed{Reader: strings.NewReader("order")}
		if resp, err := m.RoundTrip(request(t, "POST", "https://api.example.com/", body)); err == nil || resp != nil || !body.closed {
			t.Errorf("%s: got %v, %v, body closed: %v", name, resp, err, body.closed)
		}
	}
}

// What the caller does with the options afterwards is nothing to the client.
func TestMutualTLSOptionsAreCopied(t *testing.T) {
	s := newRealm(t)
	var certificate switched
	first := s.ca.Client("job")
	certificate.now.Store(&first.Certificate)
	o := s.options(nil)
	o.Certificate = certificate.certificate
	o.Scopes, o.Resources = []string{"a"}, []string{"urn:a"}
	o.Params, o.Origins = url.Values{"audience": {"a"}}, []string{s.api.URL}
	o.Transport = &http.Transport{}
	m, err := popclient.NewMutualTLS(o)
	if err != nil {
		t.Fatal(err)
	}
	o.Scopes[0], o.Resources[0], o.Origins[0], o.Params["audience"][0] = "b", "urn:b", "https://b", "b"
	o.Params["x"] = []string{"y"}
	o.Transport.Proxy = func(*http.Request) (*url.URL, error) { return nil, errors.New("no proxy") }
	unknown, _ := stranger(t, s)
	next := s.ca.Client("job")
	certificate.now.Store(&next.Certificate)
	m.AskAgain()
	client := &http.Client{Transport: m}
	defer client.CloseIdleConnections()
	if status, _ := do(t, client, request(t, "GET", s.api.URL, nil)); status != 200 {
		t.Errorf("got %d, want 200", status)
	}
	if got := s.forms[0].Encode(); got != "audience=a&client_id=job&grant_type=client_credentials&resource=urn%3Aa&scope=a" {
		t.Errorf("got %s", got)
	}
	other := s.others
	s.others = nil
	o = s.options(s.ca.Client("job"))
	if m, err = popclient.NewMutualTLS(o); err != nil {
		t.Fatal(err)
	}
	o.RootCAs.AddCert(other[0])
	if resp, err := (&http.Client{Transport: m}).Get(unknown); err == nil {
		t.Errorf("VULNERABLE: got %v of a server that was not trusted", resp)
	}
}
