package popclient_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

// Metadata decide where certificates and token requests go: only what is the issuer's own, to the letter, counts.
func TestMetadata(t *testing.T) {
	s := newRealm(t)
	here, job := s.issuer.URL+"/mtls/token", s.ca.Client("job")
	aliases := func(v any) string { return fmt.Sprintf(`"mtls_endpoint_aliases":{"token_endpoint":%q}`, v) }
	for name, test := range map[string]struct {
		members string // beside the issuer
		want    string // of the error; "" is none
	}{
		"alias":                {`"token_endpoint":"` + s.issuer.URL + `/nowhere",` + aliases(here), ""},
		"alias first":          {aliases(here) + `,"token_endpoint":"` + s.issuer.URL + `/nowhere"`, ""},
		"alias alone":          {aliases(here), ""},
		"no aliases":           {`"token_endpoint":"` + here + `"`, ""},
		"other aliases":        {`"token_endpoint":"` + here + `","mtls_endpoint_aliases":{"revocation_endpoint":"https://x"}`, ""},
		"nothing":              {`"x":1`, "no token_endpoint"},
		"alias http":           {`"token_endpoint":"` + here + `",` + aliases("http://127.0.0.1/token"), "not https"},
		"alias no URL":         {`"token_endpoint":"` + here + `",` + aliases(":"), "no URL"},
		"alias with password":  {`"token_endpoint":"` + here + `",` + aliases("https://u:p@127.0.0.1/token"), "no URL of host"},
		"alias number":         {`"token_endpoint":"` + here + `","mtls_endpoint_aliases":{"token_endpoint":1}`, "wrong JSON type"},
		"alias null":           {`"token_endpoint":"` + here + `","mtls_endpoint_aliases":{"token_endpoint":null}`, ""},
		"null beside alias":    {`"token_endpoint":null,` + aliases(here), ""},
		"all null":             {`"token_endpoint":null,"mtls_endpoint_aliases":null`, "no token_endpoint"},
		"another twice":        {`"token_endpoint":"` + here + `","x":1,"x":1`, ""},
		"Latin-1 elsewhere":    {`"token_endpoint":"` + here + "\",\"x\":\"caf\xe9\"", ""},
		"deep elsewhere":       {`"token_endpoint":"` + here + `","x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40), ""},
		"beyond elsewhere":     {`"token_endpoint":"` + here + `","x":1e999`, ""},
		"http beside alias":    {`"token_endpoint":"http://127.0.0.1/token",` + aliases(here), ""},
		"alias twice":          {`"mtls_endpoint_aliases":{"token_endpoint":"` + here + `","token_endpoint":"https://x"}`, "there twice"},
		"aliases twice":        {aliases(here) + "," + aliases("https://evil.example.com"), "there twice"},
		"aliases in upper":     {`"token_endpoint":"` + here + `","MTLS_endpoint_aliases":{}`, "case only"},
		"aliases no object":    {`"token_endpoint":"` + here + `","mtls_endpoint_aliases":["` + here + `"]`, "strict JSON"},
		"aliases null":         {`"token_endpoint":"` + here + `","mtls_endpoint_aliases":null`, ""},
		"plain http":           {`"token_endpoint":"http://127.0.0.1/token"`, "not https"},
		"empty":                {`"token_endpoint":""`, "no token_endpoint"},
		"two issuers":          {`"token_endpoint":"` + here + `","issuer":"https://evil.example.com"`, "there twice"},
		"issuer of other case": {`"token_endpoint":"` + here + `","Issuer":"https://evil.example.com"`, "case only"},
	} {
		t.Run(name, func(t *testing.T) {
			document := fmt.Sprintf("\ufeff"+`{"issuer":%q,"jwks_uri":%q,%s}`, s.issuer.URL, s.issuer.JWKSURL(), test.members)
			s.issuer.Handle("/.well-known/openid-configuration", text(document))
			s.issuer.Handle("/.well-known/oauth-authorization-server", text(document))
			fails(t, s, s.client(t, job), test.want)
		})
	}
	for name, issuer := range map[string]string{
		"another": "https://evil.example.com", "slash": s.issuer.URL + "/", "none": "", "upper": strings.ToUpper(s.issuer.URL),
	} {
		t.Run("issuer "+name, func(t *testing.T) {
			document := fmt.Sprintf(`{"issuer":%q,"token_endpoint":%q}`, issuer, here)
			s.issuer.Handle("/.well-known/openid-configuration", text(document))
			s.issuer.Handle("/.well-known/oauth-authorization-server", text(document))
			fails(t, s, s.client(t, job), "of another issuer")
		})
	}
}

func text(s string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, s) })
}

// fails sends a request and holds its error against what it should be.
func fails(t testing.TB, s *realm, client *http.Client, want string) {
	t.Helper()
	resp, err := client.Get(s.api.URL)
	switch {
	case err == nil:
		defer resp.Body.Close()
		if want != "" || resp.StatusCode != 200 {
			t.Errorf("got %d, want error %q", resp.StatusCode, want)
		}
	case want == "" || !strings.Contains(err.Error(), want):
		t.Errorf("got %v, want %q", err, want)
	}
}

// Both places are asked, and no redirect leads to another origin.
func TestMetadataPlaces(t *testing.T) {
	t.Parallel()
	s := newRealm(t)
	job := s.ca.Client("job")
	none := http.NotFoundHandler()
	s.issuer.Handle("/.well-known/openid-configuration", none)
	fails(t, s, s.client(t, job), "")
	s.issuer.Handle("/.well-known/oauth-authorization-server", none)
	fails(t, s, s.client(t, job), "status 404")
	good := fmt.Sprintf(`{"issuer":%q,"token_endpoint":%q}`, s.issuer.URL, s.issuer.URL+"/mtls/token")
	elsewhere := popauthtest.NewServer(t, text(good))
	s.issuer.Handle("/.well-known/openid-configuration", http.RedirectHandler(elsewhere.URL, http.StatusFound))
	fails(t, s, s.client(t, job, func(o *popclient.MutualTLSOptions) { o.RootCAs.AddCert(elsewhere.Certificate()) }), "another origin")
	s.issuer.Handle("/.well-known/openid-configuration", http.RedirectHandler("/moved", http.StatusFound))
	s.issuer.Handle("/moved", text(good))
	fails(t, s, s.client(t, job), "")
	s.issuer.Handle("/moved", text(good+strings.Repeat(" ", 1<<20)))
	fails(t, s, s.client(t, job), "more than")
	fails(t, s, s.client(t, job, func(o *popclient.MutualTLSOptions) { o.Issuer, o.TokenURL = "", s.issuer.URL+"/mtls/token" }), "")
}

// Metadata are read once in an hour, and again when the token endpoint fails.
func TestMetadataAreKept(t *testing.T) {
	t.Parallel()
	s := newRealm(t)
	n := 0
	document := text(fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q,"token_endpoint":%q}`, s.issuer.URL, s.issuer.JWKSURL(),
		s.issuer.URL+"/mtls/token"))
	s.issuer.Handle("/.well-known/openid-configuration", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n++
		document.ServeHTTP(w, r)
	}))
	var certificate switched
	first := s.ca.Client("job")
	certificate.now.Store(&first.Certificate)
	client := s.client(t, nil, func(o *popclient.MutualTLSOptions) { o.Certificate = certificate.certificate })
	get := func(want int) {
		t.Helper()
		resp, err := client.Get(s.api.URL)
		if err == nil {
			resp.Body.Close()
		}
		if n != want {
			t.Errorf("got %d fetches, want %d: %v", n, want, err)
		}
	}
	s.refuse(500, "")
	get(1)
	time.Sleep(time.Second)
	get(3) // one of them is the API's
	s.revoke(1)
	get(3)
	m, _ := client.Transport.(*popclient.MutualTLS)
	for i, age := range []time.Duration{59 * time.Minute, time.Minute} {
		m.MetadataAge(age)
		next := s.ca.Client("job")
		certificate.now.Store(&next.Certificate) // one without a token
		m.AskAgain()
		get(3 + i)
	}
	s.check(t, 4, 4)
}

// Metadata of an issuer elsewhere can't send a token request to where only this host gets.
func TestMetadataInside(t *testing.T) {
	const name = "https://id.example.com"
	for host, want := range map[string]bool{
		"as.example.com": true, "127.0.0.1": false, "localhost": false, "10.0.0.1": false, "169.254.169.254": false,
		"[::ffff:10.0.0.1]": false,
	} {
		for _, form := range []string{`"token_endpoint":%q`, `"mtls_endpoint_aliases":{"token_endpoint":%q}`} {
			body := fmt.Sprintf(`{"issuer":%q,`+form+`}`, name, "https://"+host+"/token")
			if got, err := popclient.ReadEndpoint([]byte(body), name); (err == nil) != want || (got != "") != want {
				t.Errorf("VULNERABLE: %s: got %q, %v", body, got, err)
			}
		}
	}
}

// While no metadata can be had, the endpoint that they named last counts, for a day: nobody answers, or with a refusal, or
// with what is no metadata. What an issuer says counts at once.
func TestMetadataOutage(t *testing.T) {
	t.Parallel()
	status := func(code int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
	}
	elsewhere := http.RedirectHandler("https://login.example.com/", http.StatusFound)
	silent := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	for name, test := range map[string]struct {
		first, second http.Handler
		age           time.Duration
		want          string // of the error; "" is none
	}{
		"503":            {status(503), status(503), 2 * time.Hour, ""},
		"503 and 404":    {status(503), status(404), 2 * time.Hour, ""},
		"silent":         {silent, silent, 2 * time.Hour, ""},
		"429":            {status(429), status(404), 2 * time.Hour, ""},
		"a day ago":      {status(503), status(503), 25 * time.Hour, "status 503"},
		"gone":           {status(404), status(404), 2 * time.Hour, ""},
		"gone for a day": {status(404), status(404), 25 * time.Hour, "status 404"},
		"forbidden":      {status(403), status(403), 2 * time.Hour, ""},
		"to a login":     {elsewhere, elsewhere, 2 * time.Hour, ""},
		"page":           {text("<html>"), text("<html>"), 2 * time.Hour, ""},
		"page and 503":   {text("<html>"), status(503), 2 * time.Hour, ""},
		"other JSON":     {text(`{}`), text(`{"error":"maintenance"}`), 2 * time.Hour, ""},
		"half of it":     {text(`{"issuer":"ISSUER","token_endp`), status(404), 2 * time.Hour, ""},
		"another's": {text(`{"issuer":"https://evil.example.com","token_endpoint":"https://evil.example.com/t"}`), status(503),
			2 * time.Hour, "another issuer"},
		"page, another's": {text("<html>"), text(`{"issuer":"https://evil.example.com"}`), 2 * time.Hour, "another issuer"},
		"without the one": {status(503), text(`{"issuer":"ISSUER"}`), 2 * time.Hour, "no token_endpoint"},
		"with a bad one":  {text(`{"issuer":"ISSUER","token_endpoint":"http://127.0.0.1/"}`), status(503), 2 * time.Hour, "not https"},
		"with two": {text(`{"issuer":"ISSUER","token_endpoint":"https://a","token_endpoint":"https://b"}`), status(503),
			2 * time.Hour, "there twice"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newRealm(t)
			client := s.client(t, s.ca.Client("job"), func(o *popclient.MutualTLSOptions) { o.Timeout = 2 * time.Second })
			m, _ := client.Transport.(*popclient.MutualTLS)
			fails(t, s, client, "")
			s.issuer.Handle("/.well-known/openid-configuration", named(s.issuer.URL, test.first))
			s.issuer.Handle("/.well-known/oauth-authorization-server", named(s.issuer.URL, test.second))
			m.MetadataAge(test.age)
			s.revoke(1)
			fails(t, s, client, test.want)
		})
	}
}

// named is a handler that writes an issuer's name for ISSUER.
func named(issuer string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		maps.Copy(w.Header(), rec.Header())
		w.WriteHeader(rec.Code)
		_, _ = io.WriteString(w, strings.ReplaceAll(rec.Body.String(), "ISSUER", issuer))
	})
}

// An issuer that wants to be left alone is asked nowhere else, nor before its time, whether an endpoint of it is known or
// not, and with whatever certificate.
func TestMetadataRetryAfter(t *testing.T) {
	t.Parallel()
	for name, known := range map[string]bool{"known": true, "unknown": false} {
		t.Run(name, func(t *testing.T) {
			s := newRealm(t)
			var asked atomic.Int32
			busy := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				asked.Add(1)
				w.Header().Set("Retry-After", "600")
				w.WriteHeader(http.StatusTooManyRequests)
			})
			var certificate switched
			set := func() { c := s.ca.Client("job"); certificate.now.Store(&c.Certificate) }
			set()
			client := s.client(t, nil, func(o *popclient.MutualTLSOptions) { o.Certificate = certificate.certificate })
			m, _ := client.Transport.(*popclient.MutualTLS)
			if known {
				fails(t, s, client, "")
				m.MetadataAge(2 * time.Hour)
			}
			s.issuer.Handle("/.well-known/openid-configuration", busy)
			s.issuer.Handle("/.well-known/oauth-authorization-server", busy)
			for range 3 {
				set()
				m.AskAgain()
				if known {
					fails(t, s, client, "")
				} else {
					fails(t, s, client, "status 429")
				}
			}
			if got := asked.Load(); got != 1 {
				t.Errorf("asked %d times, want once", got)
			}
		})
	}
}

// A place that hangs leaves some of the time for the others.
func TestMetadataPlaceHangs(t *testing.T) {
	t.Parallel()
	s := newRealm(t)
	s.issuer.Handle("/.well-known/openid-configuration",
		http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	client := s.client(t, s.ca.Client("job"), func(o *popclient.MutualTLSOptions) { o.Timeout = 2 * time.Second })
	m, _ := client.Transport.(*popclient.MutualTLS)
	if _, err := m.Credentials(t.Context()); err != nil { // the API has the same metadata to ask, in its own time
		t.Errorf("got %v, want the second place's answer", err)
	}
}
