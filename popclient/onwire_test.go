package popclient_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/seed-171ab058/popauth/popclient"
)

// No token goes in plain text to a proxy elsewhere, though the API is on this host.
func TestPlainThroughProxy(t *testing.T) {
	var seen atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { seen.Add(1) }))
	defer proxy.Close()
	here, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := &url.URL{Scheme: "http", Host: "proxy.example.com:" + here.Port()}
	source := oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "secret", TokenType: "DPoP"})
	for name, through := range map[string]*url.URL{"elsewhere": elsewhere, "here": here} {
		base := &http.Transport{Proxy: http.ProxyURL(through), DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, here.Host)
		}}
		for kind, transport := range map[string]http.RoundTripper{
			"DPoP":   &popclient.DPoP{Key: newKey(t, "ES256"), Source: source, Base: base},
			"Proofs": &popclient.Proofs{Key: newKey(t, "ES256"), Base: base},
		} {
			seen.Store(0)
			resp, err := transport.RoundTrip(request(t, "GET", "http://localhost:1/x", nil))
			if err == nil {
				resp.Body.Close()
			}
			if want := int32(0); name == "elsewhere" &&
				(seen.Load() != want || err == nil || !strings.Contains(err.Error(), "proxy that is not on it")) {
				t.Errorf("VULNERABLE: %s: the proxy elsewhere saw %d requests, %v", kind, seen.Load(), err)
			}
			if name == "here" && (seen.Load() != 1 || err != nil) {
				t.Errorf("%s: the proxy here saw %d requests, %v, want 1", kind, seen.Load(), err)
			}
		}
		base.CloseIdleConnections()
	}
}

// twice sends each request twice, as some layers do that repeat requests.
type twice struct{ base http.RoundTripper }

func (b twice) RoundTrip(r *http.Request) (*http.Response, error) {
	if resp, err := b.base.RoundTrip(r.Clone(r.Context())); err == nil {
		resp.Body.Close()
	}
	return b.base.RoundTrip(r)
}

// A layer below that sends a request twice sends its proof twice: the request gets another one, once. Where the API
// refuses a proof that was sent once, the answer is the caller's.
func TestProofSentTwice(t *testing.T) {
	used := map[string]bool{}
	var asked atomic.Int32
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		proof := r.Header.Get("DPoP")
		if used[proof] || r.URL.Path == "/never" {
			w.Header().Set("WWW-Authenticate", `DPoP error="invalid_dpop_proof"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
		used[proof] = true
	}))
	defer api.Close()
	source := oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "t", TokenType: "DPoP"})
	var calls atomic.Int32
	first := twiceOnce{calls: &calls, base: http.DefaultTransport}
	for _, test := range []struct {
		name, path string
		base       http.RoundTripper
		want       int
		asked      int32
	}{
		{"once", "/", nil, 200, 1},
		{"sent twice the first time", "/", first, 200, 3},
		{"sent twice each time", "/", twice{http.DefaultTransport}, 401, 4},
		{"refused for another reason", "/never", nil, 401, 1},
	} {
		asked.Store(0)
		d := &popclient.DPoP{Key: newKey(t, "ES256"), Source: source, Base: test.base}
		resp, err := d.RoundTrip(request(t, "GET", api.URL+test.path, nil))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != test.want || asked.Load() != test.asked {
			t.Errorf("%s: got %d after %d requests, want %d after %d", test.name, resp.StatusCode, asked.Load(), test.want, test.asked)
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// twiceOnce sends the first request twice.
type twiceOnce struct {
	calls *atomic.Int32
	base  http.RoundTripper
}

func (b twiceOnce) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.calls.Add(1) == 1 {
		return twice{b.base}.RoundTrip(r)
	}
	return b.base.RoundTrip(r)
}

// A token endpoint that asks to be left alone is, by requests that have no token too, for ten minutes at most.
func TestRetryAfter(t *testing.T) {
	for _, test := range []struct {
		name, said string
		status     int
		want       time.Duration // 0: the pause after any failure
	}{
		{"429", "120", 429, 2 * time.Minute},
		{"503", "120", 503, 2 * time.Minute},
		{"a date", "in 2 min", 503, 2 * time.Minute},
		{"too long", "86400", 503, 10 * time.Minute},
		{"another status", "120", 500, 0},
		{"nonsense", "soon", 503, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			onStage(t, func(t *testing.T, s *stage) {
				s.retryAfter = test.said
				if test.said == "in 2 min" {
					s.retryAfter = time.Now().Add(2 * time.Minute).UTC().Format(http.TimeFormat)
				}
				s.answer = func(int) (int, string) { return test.status, "" }
				s.want(t, "", 1)
				if test.want == 0 {
					time.Sleep(time.Second)
					s.want(t, "", 2)
					return
				}
				for elapsed := time.Duration(0); elapsed < test.want-5*time.Second; elapsed += 5 * time.Second {
					time.Sleep(5 * time.Second)
					s.want(t, "", 1)
				}
				time.Sleep(6 * time.Second)
				s.want(t, "", 2)
			})
		})
	}
}

// A key in the query of the token endpoint's URL is in no error and in no log.
func TestSecretInQuery(t *testing.T) {
	s := newRealm(t)
	log, logged := newLog()
	for _, base := range []string{s.issuer.URL, "https://127.0.0.1:1"} {
		client := s.client(t, s.ca.Client("job"), func(o *popclient.MutualTLSOptions) {
			o.Issuer, o.TokenURL, o.Logger = "", base+"/nowhere?k=QUERYSECRET&x=1", log
		})
		_, err := client.Get(s.api.URL)
		if err == nil || strings.Contains(err.Error(), "QUERYSECRET") || !strings.Contains(err.Error(), "/nowhere?…") {
			t.Errorf("VULNERABLE: got %v, want an error without the query", err)
		}
	}
	for end := time.Now().Add(5 * time.Second); strings.Count(logged(), "no new access token") < 2 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if strings.Contains(logged(), "QUERYSECRET") {
		t.Errorf("VULNERABLE: got log %s", logged())
	}
}

// BearerToken is Bearer to who says so, and never DPoP.
func TestBearerAliases(t *testing.T) {
	s := newRealm(t)
	s.refuse(200, `{"access_token":"x","token_type":"BearerToken","expires_in":"300"}`)
	client := s.client(t, s.ca.Client("job"), func(o *popclient.MutualTLSOptions) { o.BearerAliases = []string{"BearerToken"} })
	resp, err := client.Get(s.api.URL)
	if err != nil || resp.StatusCode != 200 { // the made-up token is refused, and replaced
		t.Errorf("got %v, %v, want 200", resp, err)
	}
	if err == nil {
		resp.Body.Close()
	}
	for _, change := range []func(*popclient.MutualTLSOptions){
		func(o *popclient.MutualTLSOptions) {
			o.Key, o.BearerAliases = newKey(t, "ES256"), []string{"BearerToken"}
		},
		func(o *popclient.MutualTLSOptions) { o.BearerAliases = []string{"dpop"} },
		func(o *popclient.MutualTLSOptions) { o.BearerAliases = []string{""} },
	} {
		o := s.options(s.ca.Client("job"))
		change(&o)
		if _, err := popclient.NewMutualTLS(o); err == nil || !strings.Contains(err.Error(), "BearerAliases") {
			t.Errorf("got %v, want an error about BearerAliases", err)
		}
	}
}
