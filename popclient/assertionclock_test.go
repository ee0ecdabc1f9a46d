package popclient_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/popclient"
)

// A client whose clock is wrong learns the time from the refusal of its assertion, where it may believe the Date, and has
// no other; whoever can't be helped by another clock costs no more requests than before.
func TestAssertionClockIsCorrected(t *testing.T) {
	for name, tt := range map[string]struct {
		off    time.Duration // of the client
		lie    time.Duration // of the Date
		change func(*popclient.Authenticated)
		stream bool   // a body that can't be sent again
		want   string // status and number of requests, of each of three
	}{
		"15 min ahead":       {off: 15 * time.Minute, want: "200/2 200/1 200/1"},
		"15 min behind":      {off: -15 * time.Minute, want: "200/2 200/1 200/1"},
		"a time zone":        {off: -14 * time.Hour, want: "200/2 200/1 200/1"},
		"as it should be":    {want: "200/1 200/1 200/1"},
		"a year":             {off: 365 * 24 * time.Hour, want: "401/1 401/1 401/1"},
		"a stream":           {off: 15 * time.Minute, stream: true, want: "401/1 200/1 200/1"},
		"the Date is wrong":  {off: 15 * time.Minute, lie: time.Hour, want: "401/2 401/1 401/1"},
		"both are wrong":     {off: 15 * time.Minute, lie: 15 * time.Minute, want: "401/1 401/1 401/1"},
		"the Date alone is":  {lie: time.Hour, want: "200/1 200/1 200/1"},
		"unknown, in time":   {change: byAnother, want: "401/1 401/1 401/1"},
		"unknown, a liar":    {lie: time.Hour, change: byAnother, want: "401/2 401/1 401/1"},
		"unverified":         {off: 15 * time.Minute, change: unverified, want: "401/1 401/1 401/1"},
		"a secret, and late": {lie: time.Hour, change: byWrongSecret, want: "401/1 401/1 401/1"},
	} {
		t.Run(name, func(t *testing.T) {
			s, a := clerk(t, tt.off, tt.lie)
			if tt.change != nil {
				tt.change(a)
			}
			var got []string
			for range 3 {
				before := len(s.asked)
				var body io.Reader = strings.NewReader("grant_type=client_credentials")
				if tt.stream {
					body = io.MultiReader(body)
				}
				resp, err := (&http.Client{Transport: a}).Post(a.Endpoints[0], "application/x-www-form-urlencoded", body)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				got = append(got, fmt.Sprint(resp.StatusCode, "/", len(s.asked)-before))
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("got %v, want %s", got, tt.want)
			}
		})
	}
}

// clerk is a client of an office whose clock, or whose Date, is off.
func clerk(t *testing.T, off, lie time.Duration) (*office, *popclient.Authenticated) {
	s := newOffice(t)
	s.issuer.Handle("/lying/token", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", time.Now().Add(lie).UTC().Format(http.TimeFormat))
		s.serve(w, r)
	}))
	key, public := signer(t)
	s.public, key.Now = public, offBy(off)
	return s, &popclient.Authenticated{
		ClientID: "job", Authentication: popclient.PrivateKeyJWT{Key: key, KeyID: "k1", Audience: s.issuer.URL},
		Endpoints: []string{s.issuer.URL + "/lying/token"}, Base: s.issuer.Server.Client().Transport,
	}
}

func byAnother(a *popclient.Authenticated) {
	was, _ := a.Authentication.(popclient.PrivateKeyJWT)
	key, err := popclient.GenerateKey("ES256")
	if err != nil {
		panic(err)
	}
	a.Authentication = popclient.PrivateKeyJWT{Key: key, KeyID: was.KeyID, Audience: was.Audience}
}

func byWrongSecret(a *popclient.Authenticated) {
	a.Authentication = popclient.ClientSecretPost{Secret: "wrong"}
}

func unverified(a *popclient.Authenticated) {
	base, _ := a.Base.(*http.Transport)
	base = base.Clone()
	base.TLSClientConfig.InsecureSkipVerify = true
	a.Base = base
}

// The clock of assertions isn't learnt by plain http.
func TestAssertionClockByPlainHTTP(t *testing.T) {
	key, _ := signer(t)
	key.Now = offBy(15 * time.Minute)
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"error":"invalid_client"}`)
	}))
	t.Cleanup(server.Close)
	a := &popclient.Authenticated{
		ClientID: "job", Authentication: popclient.PrivateKeyJWT{Key: key, Audience: "https://id.example.com"},
		Endpoints: []string{server.URL},
	}
	resp, err := (&http.Client{Transport: a}).PostForm(server.URL, url.Values{"grant_type": {"client_credentials"}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); asked != 1 || string(body) != `{"error":"invalid_client"}` {
		t.Errorf("got %d requests and %q, want one, and the answer as it was", asked, body)
	}
}

// A proxy's Date is wrong, and what a server answers before it looks at assertions must not have it kept: a body that can't
// be sent again would be refused for good.
func TestAssertionClockIsNotKeptUnseen(t *testing.T) {
	s, a := clerk(t, 0, time.Hour)
	answers := []string{`{"error":"invalid_client"}`, `{"error":"invalid_scope"}`}
	a.Endpoints = []string{s.issuer.URL + "/late/token"}
	s.issuer.Handle("/late/token", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
		if len(answers) == 0 {
			s.serve(w, r)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, answers[0])
		answers = answers[1:]
	}))
	var got []int
	for i := range 4 {
		var body io.Reader = strings.NewReader("grant_type=client_credentials")
		if i > 0 {
			body = io.MultiReader(body)
		}
		resp, err := (&http.Client{Transport: a}).Post(a.Endpoints[0], "application/x-www-form-urlencoded", body)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		got = append(got, resp.StatusCode)
	}
	if want := []int{400, 401, 200, 200}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A MutualTLS corrects both clocks, that of assertions and that of proofs, and remembers them for the next token and the
// next certificate. A nonce in between, asked for after the client was authenticated, doesn't cost another refusal.
func TestAssertionClockOfMutualTLS(t *testing.T) {
	for name, tt := range map[string]struct {
		bound bool // to a key
		want  int  // token requests for the first token
		next  int  // and for that of the next certificate
	}{
		"certificate": {want: 2, next: 1},
		"key":         {bound: true, want: 3, next: 2}, // late, without nonce, right; without nonce, right
	} {
		t.Run(name, func(t *testing.T) {
			s := newOffice(t)
			key, public := signer(t)
			s.public, s.nonce, key.Now = public, true, offBy(-15*time.Minute)
			o := s.options(s.ca.Client("bound"))
			o.Authentication = popclient.PrivateKeyJWT{Key: key, KeyID: "k1"}
			if tt.bound {
				o.Key = newKey(t, "ES256")
			}
			certificates := &switched{}
			certificates.now.Store(&s.ca.Client("bound").Certificate)
			o.Certificate = certificates.certificate
			m, err := popclient.NewMutualTLS(o)
			if err != nil {
				t.Fatal(err)
			}
			client := &http.Client{Transport: m}
			t.Cleanup(client.CloseIdleConnections)
			if got := ask(t, client, s.api.URL); got != "200 job " || len(s.asked) != tt.want {
				t.Errorf("got %q after %d token requests, want the API's answer after %d", got, len(s.asked), tt.want)
			}
			certificates.now.Store(&s.ca.Client("bound").Certificate)
			m.AskAgain()
			if got := ask(t, client, s.api.URL); got != "200 job " || len(s.asked) != tt.want+tt.next {
				t.Errorf("got %q after %d token requests, want the API's answer after %d", got, len(s.asked), tt.want+tt.next)
			}
		})
	}
}
