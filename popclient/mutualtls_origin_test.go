package popclient_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

// seen is what a server has seen of its callers.
type seen struct {
	authorization, dpop []string
	certificates        int
}

// stranger is a server that is not the API.
func stranger(t testing.TB, s *realm) (string, *[]seen) {
	t.Helper()
	all := &[]seen{}
	server := popauthtest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*all = append(*all, seen{authorization: r.Header.Values("Authorization"), dpop: r.Header.Values("DPoP"),
			certificates: len(r.TLS.PeerCertificates)})
		if r.URL.Path == "/back" {
			http.Redirect(w, r, s.api.URL+"/back", http.StatusTemporaryRedirect)
		}
	}))
	s.others = append(s.others, server.Certificate())
	return server.URL, all
}

// A redirect to another origin takes neither token nor certificate along, and what leads back doesn't get them again.
func TestMutualTLSRedirects(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]*popclient.Key{"certificate": nil, "key": newKey(t, "ES256")} {
		s := newRealm(t)
		other, seen := stranger(t, s)
		s.route = map[string]string{"/away": other + "/", "/there": other + "/back", "/here": "/"}
		for _, test := range []struct {
			path    string
			origins []string
			status  int
			with    bool // credentials at the other origin
		}{
			{"/here", nil, 200, false},
			{"/away", nil, 200, false},
			{"/there", nil, 401, false},
			{"/away", []string{s.api.URL}, 200, false},
			{"/away", []string{s.api.URL, other}, 200, true},
			{"/there", []string{s.api.URL, other}, 200, true},
		} {
			*seen = nil
			client := s.client(t, s.ca.Client("job"), func(o *popclient.MutualTLSOptions) { o.Origins, o.Key = test.origins, key })
			r := request(t, "POST", s.api.URL+test.path, strings.NewReader("order"))
			r.Header.Set("Authorization", "Bearer own")
			r.Header["dpop"] = []string{"own"}
			if status, _ := do(t, client, r); status != test.status {
				t.Errorf("%s: %s: got %d, want %d", name, test.path, status, test.status)
			}
			for _, got := range *seen {
				if with := len(got.authorization) == 1 && got.certificates == 1; with != test.with ||
					!test.with && len(got.authorization)+len(got.dpop)+got.certificates != 0 {
					t.Errorf("VULNERABLE: %s: %s: got %+v", name, test.path, got)
				}
			}
			if test.path != "/here" && len(*seen) != 1 {
				t.Errorf("%s: %s: the other origin got %d requests", name, test.path, len(*seen))
			}
		}
	}
}

// What a caller asks for itself is refused where it can't go, before a token is fetched.
func TestMutualTLSNothingSent(t *testing.T) {
	s := newRealm(t)
	for name, test := range map[string]struct {
		url     string
		origins []string
		want    string
	}{
		"plain http":    {"http://api.example.com/", nil, "without TLS"},
		"loopback":      {"http://127.0.0.1/", nil, "bound to a TLS certificate"},
		"not meant for": {s.api.URL, []string{"https://other.example.com"}, "not meant"},
		"for nobody":    {s.api.URL, []string{}, "not meant"},
		"opaque":        {"https:opaque", nil, "not an http"},
	} {
		m, err := popclient.NewMutualTLS(func() popclient.MutualTLSOptions {
			o := s.options(s.ca.Client("job"))
			o.Origins = test.origins
			return o
		}())
		if err != nil {
			t.Fatal(err)
		}
		body := &closed{Reader: strings.NewReader("order")}
		resp, err := m.RoundTrip(request(t, "POST", test.url, body))
		if err == nil || resp != nil || !strings.Contains(err.Error(), test.want) || !body.closed {
			t.Errorf("%s: got %v, %v, body closed: %v, want %s", name, resp, err, body.closed, test.want)
		}
	}
	s.check(t, 0, 0)
	// With no token the body is closed as well.
	s.refuse(400, `{"error":"invalid_scope"}`)
	client := s.client(t, s.ca.Client("job"))
	body := &closed{Reader: strings.NewReader("order")}
	if resp, err := client.Transport.RoundTrip(request(t, "POST", s.api.URL, body)); err == nil || resp != nil || !body.closed {
		t.Errorf("got %v, %v, body closed: %v", resp, err, body.closed)
	}
}

// A plain-http API on this host is one for tokens that are bound to a key, and no redirect leads from TLS to it.
func TestMutualTLSLoopbackHTTP(t *testing.T) {
	s := newRealm(t)
	plain := plainServer(t)
	client := s.client(t, s.ca.Client("job"), func(o *popclient.MutualTLSOptions) { o.Key = newKey(t, "ES256") })
	if status, got := do(t, client, request(t, "GET", plain, nil)); status != 200 || !strings.HasPrefix(got, "DPoP ") {
		t.Errorf("got %d %q, want DPoP", status, got)
	}
	s.route = map[string]string{"/plain": plain}
	client = s.client(t, s.ca.Client("job"), func(o *popclient.MutualTLSOptions) { o.Origins = []string{s.api.URL, plain} })
	if status, got := do(t, client, request(t, "GET", s.api.URL+"/plain", nil)); status != 200 || got != "" {
		t.Errorf("VULNERABLE: got %d %q, want no token", status, got)
	}
}

// A server that nobody vouches for gets nothing, nor does one that speaks old TLS.
func TestMutualTLSServer(t *testing.T) {
	s := newRealm(t)
	unknown, _ := stranger(t, s)
	s.others = nil
	old := popauthtest.NewServer(t, http.NotFoundHandler(), func(c *tls.Config) {
		c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
		c.NextProtos = []string{"http/1.1"}
	})
	s.others = append(s.others, old.Certificate())
	client := s.client(t, s.ca.Client("job"), func(o *popclient.MutualTLSOptions) {
		//nolint:gosec // G402: it is what is tested
		o.Transport = &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS10}}
	})
	for url, want := range map[string]string{unknown: "certificate", old.URL: "protocol version"} {
		if resp, err := client.Get(url); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("VULNERABLE: got %v, %v, want %s", resp, err, want)
		}
	}
}

// plainServer answers with the Authorization that it got.
func plainServer(t testing.TB) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header.Get("Authorization"))
	}))
	t.Cleanup(server.Close)
	return server.URL
}
