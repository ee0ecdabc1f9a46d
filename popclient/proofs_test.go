package popclient_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/seed-171ab058/popauth/popclient"
)

// tokenServer asks for a nonce by this status and body, and issues a token when it gets the nonce.
func tokenServer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("DPoP-Nonce", "n")
		if proof := strings.Split(r.Header.Get("DPoP"), "."); len(proof) == 3 && strings.Contains(decode(proof[1]), `"nonce":"n"`) {
			_, _ = io.WriteString(w, `{"access_token":"bound","token_type":"DPoP","expires_in":300}`)
			return
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestProofs(t *testing.T) {
	const ask = `{"error":"use_dpop_nonce","error_description":"Authorization server requires nonce in DPoP proof"}`
	large := `{"x":"` + strings.Repeat("x", 100<<10) + `","error":"use_dpop_nonce"}`
	for name, test := range map[string]struct {
		status int
		body   string
		want   int // requests
	}{
		"asks for one":     {400, ask, 2},
		"with 401":         {401, ask, 1},
		"with 200":         {200, ask, 1},
		"another error":    {400, `{"error":"invalid_grant","error_description":"use_dpop_nonce"}`, 1},
		"no JSON":          {400, `error=use_dpop_nonce`, 1},
		"error is no text": {400, `{"error":["use_dpop_nonce"]}`, 1},
		"error twice":      {400, `{"error":"use_dpop_nonce","error":"invalid_grant"}`, 1},
		"text after it":    {400, `{"error":"use_dpop_nonce"}x`, 1},
		"cut short":        {400, `{"error":"use_dpop_nonce"`, 1},
		"nothing":          {400, ``, 1},
		"too large":        {400, large, 1},
	} {
		t.Run(name, func(t *testing.T) {
			base := &spy{next: handlerBase{tokenServer(test.status, test.body)}}
			client := &http.Client{Transport: &popclient.Proofs{Key: newKey(t, "ES256"), Base: base}}
			r := request(t, "POST", "https://as.example.com/token", strings.NewReader("grant_type=client_credentials"))
			r.SetBasicAuth("client", "secret")
			status, body := do(t, client, r)
			if test.want == 2 && status != 200 || test.want == 1 && (status != test.status || body != test.body) {
				t.Errorf("got %d with %d bytes, want the server's answer", status, len(body))
			}
			if len(base.sent) != test.want {
				t.Errorf("got %d requests, want %d", len(base.sent), test.want)
			}
			for _, sent := range base.sent {
				if id, secret, ok := sent.BasicAuth(); !ok || id != "client" || secret != "secret" {
					t.Errorf("got Authorization %q, want the client's own", sent.Header.Get("Authorization"))
				}
				if _, ok := part(t, sent.Header.Get("DPoP"), 1)["ath"]; ok {
					t.Error("ath without a token")
				}
			}
		})
	}
}

// What could not be looked at fails where it is read, not before.
func TestProofsAnswerFails(t *testing.T) {
	broken := errors.New("broken")
	base := funcBase(func(*http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		w.Header().Set("DPoP-Nonce", "n")
		w.WriteHeader(http.StatusBadRequest)
		resp := w.Result()
		resp.Body = io.NopCloser(io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken), strings.NewReader("rest")))
		return resp, nil
	})
	p := &popclient.Proofs{Key: newKey(t, "ES256"), Base: base}
	resp, err := p.RoundTrip(request(t, "POST", "https://as.example.com/token", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); string(b) != "half" || !errors.Is(err, broken) {
		t.Errorf("got %q, %v, want half and the error", b, err)
	}
}

func TestProofsNothingSent(t *testing.T) {
	for name, test := range map[string]struct {
		p   *popclient.Proofs
		url string
	}{
		"zero":       {&popclient.Proofs{}, "https://as.example.com/token"},
		"plain http": {&popclient.Proofs{Key: newKey(t, "ES256")}, "http://as.example.com/token"},
	} {
		base := &spy{next: handlerBase{challenged("n")}}
		test.p.Base = base
		if resp, err := test.p.RoundTrip(request(t, "POST", test.url, nil)); err == nil || len(base.sent) != 0 {
			t.Errorf("%s: got %v, want an error", name, resp)
		}
	}
	// A redirect to another server takes no proof along.
	base := &spy{next: redirects(map[string]string{"https://as.example.com/token": "https://evil.example.com/"})}
	client := &http.Client{Transport: &popclient.Proofs{Key: newKey(t, "ES256"), Base: base}}
	do(t, client, request(t, "POST", "https://as.example.com/token", nil))
	if len(base.sent) != 2 || base.sent[0].Header.Get("DPoP") == "" || base.sent[1].Header.Get("DPoP") != "" {
		t.Errorf("got %v", base.sent)
	}
}

// The source of golang.org/x/oauth2 gets a token through Proofs that DPoP then sends.
func TestOAuth2(t *testing.T) {
	key := newKey(t, "ES256")
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{
		Transport: &popclient.Proofs{Key: key, Base: handlerBase{tokenServer(400, `{"error":"use_dpop_nonce"}`)}},
	})
	config := clientcredentials.Config{ClientID: "c", ClientSecret: "s", TokenURL: "https://as.example.com/token"}
	base := &spy{next: redirects(nil)}
	client := &http.Client{Transport: &popclient.DPoP{Key: key, Source: config.TokenSource(ctx), Base: base}}
	do(t, client, request(t, "GET", "https://api.example.com/", nil))
	base.check(t, 1)
	if got := base.sent[0].Header.Get("Authorization"); got != "DPoP bound" {
		t.Errorf("got %q, want DPoP bound", got)
	}
}

// Without a Base requests go out by http.DefaultTransport.
func TestDefaultTransport(t *testing.T) {
	server := httptest.NewServer(redirects(nil).handler)
	defer server.Close()
	if status, _ := do(t, &http.Client{Transport: &popclient.Proofs{Key: newKey(t, "ES256")}},
		request(t, "GET", server.URL, nil)); status != 200 {
		t.Errorf("got %d, want 200", status)
	}
}

func TestThumbprint(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"ES256", "ES384", "EdDSA", "RS256"} {
		key, err := popclient.GenerateKey(alg)
		if err != nil {
			t.Fatal(err)
		}
		if got := key.Thumbprint(); len(got) != 43 {
			t.Errorf("%s: got %q, want 43 characters", alg, got)
		}
	}
}
