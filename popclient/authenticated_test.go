package popclient_test

import (
	"context"
	"fmt"
	"io"
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

// The exchange of a code and the refresh by golang.org/x/oauth2 get an assertion each, and another one for a nonce.
func TestAuthenticatedFlows(t *testing.T) {
	assertions, public := signer(t)
	proofs, err := popclient.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	for name, authentication := range map[string]popclient.ClientAuthentication{
		"client_secret_basic": popclient.ClientSecretBasic{Secret: secret},
		"private_key_jwt":     popclient.PrivateKeyJWT{Key: assertions, KeyID: "k1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newOffice(t)
			s.public, s.nonce = public, true
			at := s.issuer.URL + "/office/token"
			if with, ok := authentication.(popclient.PrivateKeyJWT); ok {
				with.Audience = s.issuer.URL
				authentication = with
			}
			below := &popclient.Authenticated{
				ClientID: "job", Authentication: authentication, Endpoints: []string{at}, Base: s.issuer.Client().Transport,
			}
			ctx := context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: &popclient.Proofs{Key: proofs, Base: below}})
			config := oauth2.Config{ClientID: "job", Endpoint: oauth2.Endpoint{TokenURL: at, AuthStyle: oauth2.AuthStyleInParams}}
			token, err := config.Exchange(ctx, "a code")
			if err != nil {
				t.Fatal(err)
			}
			token.Expiry = token.Expiry.Add(-24 * time.Hour) // so that it is refreshed
			source := config.TokenSource(ctx, token)
			client := &http.Client{Transport: &popclient.DPoP{Key: proofs, Source: source, Base: s.api.Client().Transport}}
			if got := ask(t, client, s.api.URL); got != "200 job " {
				t.Errorf("got %q, want the API's answer", got)
			}
			var grants []string
			for _, r := range s.asked {
				grants = append(grants, r.PostForm.Get("grant_type"))
			}
			if got := strings.Join(grants, " "); got != "authorization_code authorization_code refresh_token" {
				t.Errorf("got the grants %q", got)
			}
		})
	}
}

// A secret goes to the endpoints that are named, and nowhere else.
func TestAuthenticatedElsewhere(t *testing.T) {
	const at = "https://id.example.com/token"
	var sent []*http.Request
	base := funcBase(func(r *http.Request) (*http.Response, error) {
		if r.Body != nil {
			_ = r.ParseForm()
		}
		sent = append(sent, r)
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
	})
	with := func(change func(*popclient.Authenticated)) *popclient.Authenticated {
		a := &popclient.Authenticated{
			ClientID: "job", Authentication: popclient.ClientSecretBasic{Secret: secret}, Endpoints: []string{at}, Base: base,
		}
		if change != nil {
			change(a)
		}
		return a
	}
	for name, test := range map[string]struct {
		change  func(*popclient.Authenticated)
		request func(*http.Request)
		target  string // if not at
		want    string // of the error
		without bool   // authentication
	}{
		"endpoint":     {},
		"another path": {target: "https://id.example.com/tokens", without: true},
		"a query":      {target: at + "?x=1", without: true},
		"another host": {target: "https://api.example.com/token", without: true},
		"plain http": {
			change: func(a *popclient.Authenticated) { a.Endpoints = []string{"http://id.example.com/token"} },
			target: "http://id.example.com/token", want: "http without TLS",
		},
		"redirected to": {request: func(r *http.Request) { r.Response = &http.Response{Request: r} }, want: "redirected"},
		"GET":           {request: func(r *http.Request) { r.Method = "GET" }, want: "has to be a POST"},
		"JSON": {request: func(r *http.Request) { r.Header.Set("Content-Type", "application/json") },
			want: "has to be a POST"},
		"no body":        {request: func(r *http.Request) { r.Body = nil }, want: "has to be a POST"},
		"half a form":    {request: body("a=%zz"), want: "has to be a POST"},
		"large":          {request: body("a=" + strings.Repeat("x", 70<<10)), want: "more than 65536 bytes"},
		"another client": {request: body("client_id=other"), want: `of the client "other"`},
		"two clients":    {request: body("client_id=job&client_id=other"), want: `of the client "other"`},
		"its own secret": {request: body("client_id=job&client_secret=own&client_assertion=own&client_assertion_type=own")},
		"its own header": {request: func(r *http.Request) { r.Header["authorization"] = []string{"Basic own"} }},
		"no endpoints":   {change: func(a *popclient.Authenticated) { a.Endpoints = nil }, want: "Endpoints is empty"},
		"a nil pointer": {
			change: func(a *popclient.Authenticated) { a.Authentication = (*popclient.ClientSecretPost)(nil) },
			want:   "Authentication: a nil *popclient.ClientSecretPost",
		},
		"no ClientID":       {change: func(a *popclient.Authenticated) { a.ClientID = "" }, want: "ClientID is empty"},
		"no Authentication": {change: func(a *popclient.Authenticated) { a.Authentication = nil }, want: "Authentication is nil"},
		"no secret": {
			change: func(a *popclient.Authenticated) { a.Authentication = popclient.ClientSecretPost{} },
			want:   "without Secret",
		},
	} {
		t.Run(name, func(t *testing.T) {
			sent = nil
			target := at
			if test.target != "" {
				target = test.target
			}
			r, err := http.NewRequest(http.MethodPost, target, strings.NewReader("grant_type=client_credentials"))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if test.request != nil {
				test.request(r)
			}
			resp, err := with(test.change).RoundTrip(r)
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) || len(sent) > 0 {
					t.Errorf("got %v and %d requests sent, want %q", err, len(sent), test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			id, password, basic := sent[0].BasicAuth()
			if basic == test.without || basic && (id != "job" || password != encodedSecret) {
				t.Errorf("got the header of %q, %q, want none: %t", id, password, test.without)
			}
			if text := sent[0].PostForm.Encode(); strings.Contains(text, "own") || strings.Contains(fmt.Sprint(sent[0].Header), "own") {
				t.Errorf("got %q and %v, want one method alone", text, sent[0].Header)
			}
			if resp.Request.Header.Get("Authorization") != "" {
				t.Error("the answer's request has the secret")
			}
		})
	}
}

func body(text string) func(*http.Request) {
	return func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(text)) }
}

// A proxy elsewhere would read a secret for this host.
func TestAuthenticatedThroughAProxy(t *testing.T) {
	const at = "http://127.0.0.1:1/token"
	proxy, err := url.Parse("http://proxy.example.com:3128")
	if err != nil {
		t.Fatal(err)
	}
	a := &popclient.Authenticated{
		ClientID: "job", Authentication: popclient.ClientSecretPost{Secret: secret}, Endpoints: []string{at},
		Base: &http.Transport{Proxy: http.ProxyURL(proxy)},
	}
	resp, err := (&http.Client{Transport: a}).PostForm(at, url.Values{"grant_type": {"client_credentials"}})
	if err == nil {
		resp.Body.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "proxy that is not on it") {
		t.Errorf("got %v, want an error of the proxy", err)
	}
}

// A refresh token and a code are for the endpoint alone: after 307 and 308 http.Client would send the form to wherever
// the endpoint says.
func TestAuthenticatedIsNotLedAway(t *testing.T) {
	var stolen atomic.Int32
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.FormValue("refresh_token") != "" {
			stolen.Add(1)
		}
	}))
	t.Cleanup(thief.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		mux := http.NewServeMux()
		mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, thief.URL+"/token", status) })
		mux.HandleFunc("/twice", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", status) })
		mux.HandleFunc("/other", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, thief.URL+"/token", status) })
		server := httptest.NewTLSServer(mux)
		t.Cleanup(server.Close)
		for _, path := range []string{"/token", "/twice"} {
			a := &popclient.Authenticated{
				ClientID: "job", Authentication: popclient.ClientSecretPost{Secret: secret}, Endpoints: []string{server.URL + path},
				Base: server.Client().Transport,
			}
			for _, transport := range []http.RoundTripper{a, &popclient.Proofs{Key: newKey(t, "ES256"), Base: a}} {
				resp, err := (&http.Client{Transport: transport}).PostForm(server.URL+path,
					url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"r1"}})
				if err == nil {
					resp.Body.Close()
				}
				if err == nil || !strings.Contains(err.Error(), "redirects") {
					t.Errorf("%d from %s by %T: got %v, want an error of the redirect", status, path, transport, err)
				}
				if stolen.Swap(0) != 0 {
					t.Errorf("VULNERABLE: %d from %s by %T: the refresh token got elsewhere, in plain text", status, path, transport)
				}
			}
		}
	}
	resp, err := (&popclient.Authenticated{
		ClientID: "job", Authentication: popclient.ClientSecretPost{Secret: secret}, Endpoints: []string{thief.URL},
	}).RoundTrip(&http.Request{Method: http.MethodPost})
	if err == nil {
		resp.Body.Close()
		t.Error("without URL: got an answer, want an error")
	}
}
