package interop_test

import (
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
		got, err := s.token(transport, clientcredentials.Config{ClientID: "app", ClientSecret: clientSecret,
			TokenURL: issuer + "/token", AuthStyle: oauth2.AuthStyleInHeader}, audience)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	key, err := popclient.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	proofs := &popclient.Proofs{Key: key, Base: withAudience{http.DefaultTransport, structured}}
	a := s.api(popauth.Options{
		Issuer: s.issuer, Audience: []string{structured},
		Keys: s.keys(func(o *popauth.RemoteKeysOptions) { o.AllowLoopbackHTTP = true }),
	})
	plain := withAudience{http.DefaultTransport, structured}
	good := token(issuers[0], structured, plain)
	for _, row := range []struct {
		name, path, token string
		want              outcome
	}{
		{"its token", authenticated, good.AccessToken, wanted("")},
		{"its token, which is not bound", confirmed, good.AccessToken, wanted(popauth.ErrBindingMissing)},
		{"one that a proof was sent for", confirmed, token(issuers[0], structured, proofs).AccessToken, wanted(popauth.ErrBindingMissing)},
		{"one for another API", authenticated, token(issuers[0], "", withAudience{http.DefaultTransport, opaque}).AccessToken,
			wanted(popauth.ErrTokenAudience)},
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

// withAudience asks oauth2-mock-server for an audience as it wants that: in the form's aud.
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
