package popclient_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"github.com/seed-171ab058/popauth/popclient"
)

// redirects is a base that redirects each URL in it to another, with the status 307.
func redirects(to map[string]string) handlerBase {
	return handlerBase{func(w http.ResponseWriter, r *http.Request) {
		if next, ok := to[r.URL.String()]; ok {
			w.Header().Set("Location", next)
			w.WriteHeader(http.StatusTemporaryRedirect)
		}
	}}
}

func TestRedirects(t *testing.T) {
	const api, twin, evil = "https://api.example.com", "https://twin.example.com", "https://evil.example.com"
	for name, test := range map[string]struct {
		origins []string
		path    []string // the URLs of the chain
		want    []bool   // whether each got token and proof
	}{
		"same origin":        {nil, []string{api + "/a", api + "/b"}, []bool{true, true}},
		"same, port written": {nil, []string{api + "/a", "https://API.example.com:443/b"}, []bool{true, true}},
		"other host":         {nil, []string{api + "/a", evil + "/b"}, []bool{true, false}},
		"other port":         {nil, []string{api + "/a", api + ":8443/b"}, []bool{true, false}},
		"subdomain":          {nil, []string{api + "/a", "https://x.api.example.com/b"}, []bool{true, false}},
		"plain http":         {nil, []string{api + "/a", "http://api.example.com/b"}, []bool{true, false}},
		"no ASCII":           {nil, []string{api + "/a", "https://xn--.b\u00fccher.de/b"}, []bool{true, false}},
		"and back":           {nil, []string{api + "/a", evil + "/b", api + "/c"}, []bool{true, false, false}},
		"and on":             {nil, []string{api + "/a", evil + "/b", evil + "/c"}, []bool{true, false, false}},
		"through plain http": {nil, []string{api + "/a", "http://api.example.com/b", api + "/c"}, []bool{true, false, false}},
		"listed":             {[]string{api, twin}, []string{api + "/a", twin + "/b", api + "/c"}, []bool{true, true, true}},
		"listed with /":      {[]string{api + ":443/", twin}, []string{api + "/a", twin + "/b"}, []bool{true, true}},
		"not listed":         {[]string{api}, []string{api + "/a", twin + "/b"}, []bool{true, false}},
		"listed and back":    {[]string{api, twin}, []string{api + "/a", evil + "/b", twin + "/c"}, []bool{true, false, false}},
		"loopback": {nil, []string{"http://127.0.0.1:80/a", "http://127.0.0.1/b", "http://localhost/"},
			[]bool{true, true, false}},
		"loopback, by name": {nil, []string{"http://LOCALHOST/a", "http://[::1]/"}, []bool{true, false}},
	} {
		t.Run(name, func(t *testing.T) {
			to := map[string]string{}
			for i, u := range test.path[1:] {
				to[test.path[i]] = u
			}
			base := &spy{next: redirects(to)}
			client := &http.Client{Transport: &popclient.DPoP{
				Key: newKey(t, "ES256"), Source: static("token", "DPoP"), Base: base, Origins: test.origins,
			}}
			r := request(t, "POST", test.path[0], strings.NewReader("order"))
			r.Header.Set("Authorization", "Bearer own")
			r.Header.Set("DPoP", "own")
			if status, _ := do(t, client, r); status != 200 {
				t.Errorf("got %d, want 200", status)
			}
			var got []bool
			for _, sent := range base.sent {
				authorization, proof := sent.Header.Get("Authorization"), sent.Header.Get("DPoP")
				if proof != "" && authorization != "DPoP token" || proof == "" && authorization != "" || proof == "own" {
					t.Errorf("%s: got Authorization %q, DPoP %q", sent.URL, authorization, proof)
				}
				got = append(got, proof != "")
			}
			if fmt.Sprint(got) != fmt.Sprint(test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// A nonce is the business of one origin, and of one that a redirect has led to it is not even learnt.
func TestNoncePerOrigin(t *testing.T) {
	base := &spy{next: handlerBase{func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("DPoP-Nonce", "of-"+r.URL.Hostname())
		if r.URL.Path == "/away" {
			w.Header().Set("Location", "https://c.example.com/")
			w.WriteHeader(http.StatusFound)
		}
	}}}
	client := &http.Client{Transport: &popclient.DPoP{Key: newKey(t, "ES256"), Source: static("token", "DPoP"), Base: base}}
	for i, test := range []struct{ url, want string }{
		{"https://a.example.com/", ""},
		{"https://a.example.com:443/", "of-a.example.com"},
		{"https://A.EXAMPLE.com/", "of-a.example.com"},
		{"https://a.example.com:444/", ""},
		{"https://b.example.com/", ""},
		{"https://b.example.com/away", "of-b.example.com"},
		{"https://c.example.com/", ""},
	} {
		before := len(base.sent)
		do(t, client, request(t, "GET", test.url, nil))
		got, _ := part(t, base.sent[before].Header.Get("DPoP"), 1)["nonce"].(string)
		if got != test.want {
			t.Errorf("%d: %s: got nonce %q, want %q", i, test.url, got, test.want)
		}
	}
}

func TestNoncesAreBounded(t *testing.T) {
	d := &popclient.DPoP{Key: newKey(t, "EdDSA"), Source: static("token", "DPoP"), Base: handlerBase{challenged("n")}}
	for i := range 120 {
		do(t, &http.Client{Transport: d}, request(t, "GET", fmt.Sprintf("https://a%d.example.com/", i%110), nil))
	}
	if got := d.Remembered(); got != 100 {
		t.Errorf("got %d, want 100", got)
	}
}

// A chain of redirects that can't be followed back is nobody's, and what it leads to can't ask for anything.
func TestRedirectFromNowhere(t *testing.T) {
	for name, from := range map[string]*http.Request{"no request": nil, "no URL": {}, "no host": {URL: &url.URL{Scheme: "https"}}} {
		base := &spy{next: handlerBase{challenged("n")}}
		d := &popclient.DPoP{Key: newKey(t, "EdDSA"), Source: static("token", "DPoP"), Base: base}
		r := request(t, "GET", "https://api.example.com/", nil)
		r.Response = &http.Response{Request: from}
		resp, err := d.RoundTrip(r)
		if err != nil || len(base.sent) != 1 || len(base.sent[0].Header) != 0 {
			t.Errorf("%s: got %v, %v, want a request without credentials", name, resp, err)
		}
	}
}

// The nonce of the answer to the second request is the one to use next.
func TestNonceOfSecondAnswer(t *testing.T) {
	n := 0
	base := &spy{next: handlerBase{func(w http.ResponseWriter, r *http.Request) { n++; challenged(fmt.Sprint("n", n))(w, r) }}}
	client := &http.Client{Transport: &popclient.DPoP{Key: newKey(t, "ES256"), Source: static("token", "DPoP"), Base: base}}
	for range 2 {
		do(t, client, request(t, "GET", "https://api.example.com/", nil))
	}
	base.check(t, 4)
	if got := part(t, base.sent[2].Header.Get("DPoP"), 1)["nonce"]; got != "n2" {
		t.Errorf("got %v, want n2", got)
	}
}

// A request that goes on without credentials has no token fetched for it.
func TestRedirectFetchesNoToken(t *testing.T) {
	n := 0
	base := redirects(map[string]string{"https://api.example.com/": "https://evil.example.com/"})
	client := &http.Client{Transport: &popclient.DPoP{Key: newKey(t, "ES256"), Base: base, Source: source(func() (*oauth2.Token, error) {
		n++
		return &oauth2.Token{AccessToken: "token", TokenType: "DPoP"}, nil
	})}}
	do(t, client, request(t, "GET", "https://api.example.com/", nil))
	if n != 1 {
		t.Errorf("got %d tokens, want 1", n)
	}
}

// Whoever reads the error has to see which of the two is wrong.
func TestOriginErrorNamesBoth(t *testing.T) {
	long := "https://" + strings.Repeat("a", 60) + "." + strings.Repeat("b", 60)
	d := &popclient.DPoP{
		Key: newKey(t, "ES256"), Source: static("token", "DPoP"), Origins: []string{"https://api.example.com"}, Base: never{t},
	}
	for asked, want := range map[string]string{
		"https://api.example.com:8443/x?token=hidden": `https://api.example.com:8443, and Origins are ["https://api.example.com"]`,
		long + "/x": `and Origins are`,
	} {
		r, err := http.NewRequest(http.MethodGet, asked, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := d.RoundTrip(r)
		if err == nil {
			resp.Body.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: got %v, want %s", asked, err, want)
		}
	}
	for range 1000 {
		d.Origins = append(d.Origins, long+":8443")
	}
	resp, err := d.RoundTrip(&http.Request{URL: &url.URL{Scheme: "https", Host: strings.Repeat("c", 4000) + ".example"}})
	if err == nil {
		resp.Body.Close()
	}
	if err == nil || len(err.Error()) > 600 {
		t.Errorf("got an error of %d bytes, want a short one", len(fmt.Sprint(err)))
	}
}

// never sends nothing.
type never struct{ t testing.TB }

func (n never) RoundTrip(*http.Request) (*http.Response, error) {
	n.t.Error("VULNERABLE: sent")
	return nil, errors.New("sent")
}
