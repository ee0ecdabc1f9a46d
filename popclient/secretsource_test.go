package popclient_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/popclient"
)

// source makes each of the two that have one.
func bySource(f func(context.Context) (string, error)) map[string]popclient.ClientAuthentication {
	return map[string]popclient.ClientAuthentication{
		"basic": popclient.ClientSecretBasic{Source: f}, "post": popclient.ClientSecretPost{Source: f},
	}
}

// A secret that is changed counts from the next request on, without a restart.
func TestSecretChanges(t *testing.T) {
	var now atomic.Value
	calls := 0
	for name, authentication := range bySource(func(context.Context) (string, error) {
		calls++
		s, _ := now.Load().(string)
		return s, nil
	}) {
		t.Run(name, func(t *testing.T) {
			s := newOffice(t)
			a := &popclient.Authenticated{
				ClientID: "job", Authentication: authentication, Endpoints: []string{s.issuer.URL + "/office/token"},
				Base: s.issuer.Server.Client().Transport,
			}
			for i, test := range []struct {
				secret string
				want   int
			}{{secret, 200}, {"the next one", 401}, {secret, 200}} {
				now.Store(test.secret)
				calls = 0
				resp, err := (&http.Client{Transport: a}).PostForm(a.Endpoints[0], url.Values{"grant_type": {"client_credentials"}})
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode != test.want || calls != 1 {
					t.Errorf("%d: got %d after %d calls, want %d after one", i, resp.StatusCode, calls, test.want)
				}
			}
			calls = 0
			client := s.client(t, s.ca.Client("bound"), func(o *popclient.MutualTLSOptions) { o.Authentication = authentication })
			for range 2 {
				if got := ask(t, client, s.api.URL); got != "200 job " || calls != 1 {
					t.Errorf("MutualTLS: got %q after %d calls, want the API's answer after one", got, calls)
				}
			}
		})
	}
}

// A source that fails, hangs or panics costs the request, and neither the process nor a goroutine for each of them. No
// error shows what it panics with.
func TestSecretSourceFails(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	for name, test := range map[string]struct {
		source func(context.Context) (string, error)
		want   string
	}{
		"an error":     {func(context.Context) (string, error) { return "", errors.New("vault sealed") }, "vault sealed"},
		"empty":        {func(context.Context) (string, error) { return "", nil }, "without Secret"},
		"a file":       {func(context.Context) (string, error) { return "verysecret\n", nil }, "ends in a line break"},
		"of Windows":   {func(context.Context) (string, error) { return "verysecret\r\n", nil }, "ends in a line break"},
		"panics":       {func(context.Context) (string, error) { panic("verysecret") }, "panicked with a string"},
		"ends":         {func(context.Context) (string, error) { runtime.Goexit(); return "", nil }, "did not return"},
		"hangs":        {func(context.Context) (string, error) { <-hang; return "", nil }, "deadline exceeded"},
		"and an error": {func(context.Context) (string, error) { return secret, errors.New("stale") }, "stale"},
	} {
		for kind, authentication := range bySource(test.source) {
			t.Run(name+" "+kind, func(t *testing.T) {
				s := newOffice(t)
				client := s.client(t, s.ca.Client("bound"), func(o *popclient.MutualTLSOptions) {
					o.Authentication, o.Timeout = authentication, 200*time.Millisecond
				})
				if got := ask(t, client, s.api.URL); !strings.Contains(got, test.want) || strings.Contains(got, "secret\n") ||
					strings.Contains(got, "verysecret") {
					t.Errorf("got %q, want %q", got, test.want)
				}
				if len(s.asked) != 0 {
					t.Errorf("VULNERABLE: got %d token requests, want none", len(s.asked))
				}
			})
		}
	}
}

func TestSecretSourceHangs(t *testing.T) {
	const at = "https://id.example.com/token"
	hang := make(chan struct{})
	defer close(hang)
	var calls atomic.Int32
	a := &popclient.Authenticated{ClientID: "job", Endpoints: []string{at}, Base: never{t}}
	a.Authentication = popclient.ClientSecretPost{Source: func(context.Context) (string, error) {
		calls.Add(1)
		<-hang
		return secret, nil
	}}
	want := "64 calls have not returned"
	for i := range 70 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, at, strings.NewReader("grant_type=client_credentials"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := a.RoundTrip(r)
		if err == nil {
			resp.Body.Close()
		}
		if err == nil || (i >= 64) != strings.Contains(err.Error(), want) {
			t.Errorf("%d: got %v, want %q from 64 on", i, err, want)
		}
		cancel()
	}
	if n := calls.Load(); n > 64 {
		t.Errorf("got %d calls, want 64", n)
	}
}

func TestSecretOptions(t *testing.T) {
	s := newOffice(t)
	source := func(context.Context) (string, error) { return secret, nil }
	for _, test := range []struct {
		authentication popclient.ClientAuthentication
		want           string
	}{
		{popclient.ClientSecretBasic{}, "without Secret"},
		{popclient.ClientSecretPost{}, "without Secret"},
		{popclient.ClientSecretBasic{Secret: secret, Source: source}, "only one of them"},
		{popclient.ClientSecretPost{Secret: secret, Source: source}, "only one of them"},
		{popclient.ClientSecretBasic{Secret: "verysecret\n"}, "ends in a line break"},
		{popclient.ClientSecretPost{Secret: "verysecret\n"}, "ends in a line break"},
	} {
		o := s.options(s.ca.Client("bound"))
		o.Authentication = test.authentication
		_, err := popclient.NewMutualTLS(o)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "verysecret") {
			t.Errorf("%v: got %v, want %q", test.authentication, err, test.want)
		}
	}
}

// There are servers whose error repeats what they were sent. It is in no error, and so in no log.
func TestSecretIsNotRepeated(t *testing.T) {
	const secret = "very+secret%7"
	for name, repeated := range map[string]string{
		"as it is": secret, "a form": "client_secret=" + url.QueryEscape(secret) + "&x=%zz",
		"twice escaped": url.QueryEscape(url.QueryEscape(secret)),
		"escaped":       url.QueryEscape(secret), "in a URL": "%76ery%2Bsecret%257",
		"the header": base64.StdEncoding.EncodeToString([]byte("job:" + url.QueryEscape(secret))),
		"encoded":    base64.StdEncoding.EncodeToString([]byte(secret)),
	} {
		for kind, authentication := range bySource(func(context.Context) (string, error) { return secret, nil }) {
			for member, status := range map[string]int{"error": 200, "error_description": 401} {
				t.Run(name+" "+kind+" "+member, func(t *testing.T) {
					s := newOffice(t)
					s.issuer.Handle("/repeats/token", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
						w.WriteHeader(status)
						fmt.Fprintf(w, `{%q:%q}`, member, "no client with "+repeated)
					}))
					client := s.client(t, s.ca.Client("bound"), func(o *popclient.MutualTLSOptions) {
						o.Authentication, o.Issuer, o.TokenURL = authentication, "", s.issuer.URL+"/repeats/token"
					})
					got := ask(t, client, s.api.URL)
					if strings.Contains(got, repeated) || !strings.Contains(got, fmt.Sprint(status)) || !strings.Contains(got, "withheld") {
						t.Errorf("VULNERABLE: got %q", got)
					}
				})
			}
		}
	}
}
