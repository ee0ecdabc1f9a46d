package interop_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popclient"
)

// The tokens of oauth2-mock-server, which many test suites have, pass Authenticate by the options of any issuer that is
// on loopback. It binds none, so that they don't pass Confirm, and popclient sends none as if it were bound.
func TestMockServer(t *testing.T) {
	var issuers [2]string
	for i := range issuers {
		run(t, "mockserver.mjs", object{}).read(&issuers[i])
	}
	s := newAuthorizationServer(t)
	s.issuer = issuers[0]
	token := func(issuer, audience string, transport http.RoundTripper) *oauth2.Token {
		t.Helper()
		ctx := context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: withAudience{transport, audience}})
		got, err := (&oauth2.Config{ClientID: "app", Scopes: []string{"orders.read"}, Endpoint: oauth2.Endpoint{
			TokenURL: issuer + "/token", AuthStyle: oauth2.AuthStyleInHeader}}).PasswordCredentialsToken(ctx, "alice", clientSecret)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	nobody, err := s.token(withAudience{http.DefaultTransport, structured}, clientcredentials.Config{
		ClientID: "app", ClientSecret: clientSecret, TokenURL: s.issuer + "/token", AuthStyle: oauth2.AuthStyleInHeader}, structured)
	if err != nil {
		t.Fatal(err)
	}
	key, err := popclient.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	proofs := &popclient.Proofs{Key: key}
	a := s.api(popauth.Options{
		Issuer: s.issuer, Audience: []string{structured},
		Keys: s.keys(func(o *popauth.RemoteKeysOptions) { o.AllowLoopbackHTTP = true }),
	})
	plain := http.DefaultTransport
	good := token(issuers[0], structured, plain)
	for _, row := range []struct {
		name, path, token string
		want              outcome
	}{
		{"its token", authenticated, good.AccessToken, wanted("")},
		{"its token, which is not bound", confirmed, good.AccessToken, wanted(popauth.ErrBindingMissing)},
		{"one that a proof was sent for", confirmed, token(issuers[0], structured, proofs).AccessToken, wanted(popauth.ErrBindingMissing)},
		{"one for another API", authenticated, token(issuers[0], opaque, plain).AccessToken, wanted(popauth.ErrTokenAudience)},
		{"one of a client, which has neither sub nor the client's name", authenticated, nobody.AccessToken, wanted(popauth.ErrTokenType)},
		{"one of another such server", authenticated, token(issuers[1], structured, plain).AccessToken, wanted(popauth.ErrTokenIssuer)},
	} {
		r, err := http.NewRequest(http.MethodGet, a.URL+row.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+row.token)
		if got := a.get(t, a.caller(s.byDN), r); got != row.want {
			t.Errorf("%s:\ngot  %+v\nwant %+v", row.name, got, row.want)
		}
	}
	before := a.spy.Ran()
	client := &http.Client{Transport: &popclient.DPoP{Key: key, Source: oauth2.StaticTokenSource(good), Base: s.transport(nil)}}
	resp, err := client.Get(a.URL + authenticated)
	if err == nil {
		resp.Body.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "the token's type is not DPoP") || a.spy.Ran() != before {
		t.Errorf("popclient: got %v, the handler ran %d times, want the token's type", err, a.spy.Ran()-before)
	}
}

// withAudience asks for an audience in the form's aud, which mockserver.mjs puts into the token.
type withAudience struct {
	http.RoundTripper
	audience string
}

func (a withAudience) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	r.PostForm.Set("aud", a.audience)
	form := strings.NewReader(url.Values(r.PostForm).Encode())
	out, err := http.NewRequestWithContext(r.Context(), r.Method, r.URL.String(), form)
	if err != nil {
		return nil, err
	}
	out.Header = r.Header
	return a.RoundTripper.RoundTrip(out)
}
