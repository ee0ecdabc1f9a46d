package popclient_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

// Where the token endpoint has moved, metadata that take a fifth of Timeout are waited for.
func TestEndpointMovedAndMetadataSlow(t *testing.T) {
	s := newRealm(t)
	client := s.client(t, s.ca.Client("job"), func(o *popclient.MutualTLSOptions) { o.Timeout = 4 * time.Second })
	do(t, client, request(t, "GET", s.api.URL, nil))
	issuer := s.issuer.Server.Config.Handler
	s.issuer.Server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.Contains(r.URL.Path, "well-known"):
			time.Sleep(800 * time.Millisecond)
		case r.URL.Path == "/mtls/token":
			http.NotFound(w, r)
			return
		case r.URL.Path == "/mtls/new":
			r.URL.Path = "/mtls/token"
		}
		issuer.ServeHTTP(w, r)
	})
	s.issuer.Metadata["mtls_endpoint_aliases"] = popauthtest.Claims{"token_endpoint": s.issuer.URL + "/mtls/new"}
	s.revoke(1)
	var err error
	for start := time.Now(); time.Since(start) < 10*time.Second; time.Sleep(100 * time.Millisecond) {
		var resp *http.Response
		if resp, err = client.Get(s.api.URL); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
	}
	t.Errorf("got %v for ten seconds, want the token of the new endpoint", err)
}
