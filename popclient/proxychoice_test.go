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

	"github.com/seed-171ab058/popauth/popclient"
)

// A client that is used while another dials, for its proxy's credentials, goes by its own choice of a proxy.
func TestProxyIsOneClientsOwn(t *testing.T) {
	s := newRealm(t)
	proxy, _, shown := newTunnel(t)
	s.others = append(s.others, proxy.Certificate())
	by, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	inner := s.client(t, s.ca.Client("job"), func(o *popclient.MutualTLSOptions) {
		o.Transport = &http.Transport{Proxy: func(*http.Request) (*url.URL, error) { return nil, nil }}
	})
	asked := 0
	outer := s.client(t, s.ca.Client("job"), func(o *popclient.MutualTLSOptions) {
		o.Transport = &http.Transport{Proxy: http.ProxyURL(by),
			GetProxyConnectHeader: func(ctx context.Context, _ *url.URL, _ string) (http.Header, error) {
				asked++
				r, err := http.NewRequestWithContext(ctx, "GET", s.api.URL, nil)
				if err != nil {
					return nil, err
				}
				resp, err := inner.Do(r)
				if err != nil {
					return nil, err
				}
				resp.Body.Close()
				return nil, nil
			}}
	})
	if status, _ := do(t, outer, request(t, "GET", s.api.URL, nil)); status != 200 || asked == 0 {
		t.Errorf("got %d, the credentials were asked for %d times, want 200", status, asked)
	}
	if got := shown.Load(); got != 0 {
		t.Errorf("VULNERABLE: the proxy was shown a certificate %d times", got)
	}
}

// A token in plain text for this host goes to no proxy elsewhere, though the function names one only every second time.
func TestProxyOfPlainHTTPIsChosenOnce(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(api.Close)
	var leaked atomic.Bool
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		leaked.Store(leaked.Load() || r.Header.Get("Authorization") != "")
	}))
	t.Cleanup(elsewhere.Close)
	named := &url.URL{Scheme: "http", Host: "proxy.example.com:3128"}
	var turns atomic.Int32
	s := newRealm(t)
	client := s.client(t, s.ca.Client("job"), func(o *popclient.MutualTLSOptions) {
		o.Key = newKey(t, "ES256")
		o.Transport = &http.Transport{
			Proxy: func(r *http.Request) (*url.URL, error) {
				if r.URL.Scheme == "https" || turns.Add(1)%2 == 1 {
					return nil, nil
				}
				return named, nil
			},
			DialContext: dialInstead(named.Host, elsewhere.Listener.Addr().String()),
		}
	})
	refused := 0
	for range 4 {
		resp, err := client.Get(api.URL)
		if err != nil {
			if !strings.Contains(err.Error(), "a proxy that is not on it") {
				t.Error(err)
			}
			refused++
			continue
		}
		resp.Body.Close()
	}
	if leaked.Load() || refused != 2 {
		t.Errorf("VULNERABLE: a proxy elsewhere got the token: %t, %d of 4 requests were refused, want 2", leaked.Load(), refused)
	}
}

// dialInstead dials another address in place of one.
func dialInstead(of, instead string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == of {
			address = instead
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
}
