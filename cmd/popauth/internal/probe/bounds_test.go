package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Everything that is wrong with the options is said at once, and nothing is sent.
func TestOptions(t *testing.T) {
	_, err := Run(context.Background(), Options{URL: "http://api.example.com/orders", Token: "two words", Methods: []string{"post"},
		Rate: -1})
	if err == nil {
		t.Fatal("got no error")
	}
	for _, want := range []string{"https only", "one line of visible", "want the certificate or the DPoP key", "capital letters",
		"more than nothing"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}

// No credentials go to another origin, wherever the API sends the probe.
func TestOneOrigin(t *testing.T) {
	l := newLab(t)
	var elsewhere atomic.Int64
	other := l.serve(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	server := l.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/orders" && len(r.TLS.PeerCertificates) > 0 && r.Header.Get("Authorization") != "" {
			w.Header().Set("Link", "<"+other.URL+">")
			listOrders(w, r)
			return
		}
		w.Header().Set("Location", other.URL+"/login")
		w.Header().Set("WWW-Authenticate", `Bearer resource_metadata="`+other.URL+wellKnown+`"`)
		w.WriteHeader([]int{http.StatusFound, http.StatusTemporaryRedirect, http.StatusUnauthorized}[time.Now().UnixNano()%3])
	}))
	t.Setenv("HTTPS_PROXY", other.URL)
	if _, err := Run(context.Background(), l.options("certificate", server.URL+"/orders", l.ca.Pool())); err != nil {
		t.Fatal(err)
	}
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("got %d requests at another origin, want none", n)
	}
}

// The number of requests and their rate have an end, and what wasn't asked is unclear.
func TestBudget(t *testing.T) {
	l := newLab(t)
	var n atomic.Int64
	a := l.openAPI("")
	server := l.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { n.Add(1); a.ServeHTTP(w, r) }))
	o := l.options("certificate", server.URL+"/orders", l.ca.Pool())
	o.MaxRequests = 40
	r, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if n.Load() > 40 || r.Count(Unclear) < 50 || !strings.Contains(details(r, Unclear), "number of requests is used up") {
		t.Errorf("got %d requests, %s", n.Load(), r.Summary())
	}
	before, began := n.Load(), time.Now()
	o.MaxRequests, o.Rate, o.Checks = 1000, 40, []string{"header-underscore", "header-dot"}
	if _, err := Run(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	sent, took := n.Load()-before, time.Since(began)
	if most := 40 + int64(took.Seconds()*40) + 2; sent < 50 || sent > most {
		t.Errorf("got %d requests in %v, want 50 and %d at most", sent, took, most)
	}
}

// Of an answer there is as much as the bound, however much comes.
func TestRead(t *testing.T) {
	endless := io.MultiReader(strings.NewReader("HTTP/1.1 401 Unauthorized\r\n\r\n"), repeated("x"))
	if a := read(endless, http.MethodGet); a.status != http.StatusUnauthorized || len(a.body) != maxBody {
		t.Errorf("got %d, %d bytes, want %d", a.status, len(a.body), maxBody)
	}
	if a := read(repeated("HTTP/1.1 100 Continue\r\n\r\n"), http.MethodGet); a.err == nil {
		t.Error("answers without an end: got no error")
	}
}

// repeated is a text without an end.
type repeated string

func (r repeated) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = r[i%len(r)]
	}
	return len(b) - len(b)%len(r), nil
}

// An API that has had enough, or is down, has refused nobody.
func TestBusy(t *testing.T) {
	l := newLab(t)
	for _, status := range []int{429, 502, 503, 504} {
		a := l.openAPI("")
		server := l.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if len(r.TLS.PeerCertificates) == 0 {
				w.WriteHeader(status)
				return
			}
			a.ServeHTTP(w, r)
		}))
		o := l.options("certificate", server.URL+"/orders", l.ca.Pool())
		o.Checks = []string{"certificate-missing", "certificate-other"}
		r, err := Run(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		if r.Results[0].State != Unclear || r.Results[1].State != Passed {
			t.Errorf("%d: got %+v", status, r.Results)
		}
	}
}

// A thief who gets no connection because of his certificate alone is not one who was refused with a token.
func TestStrictTLS(t *testing.T) {
	l := newLab(t)
	url := l.popauthDirect(nil, func(s *httptest.Server) {
		s.TLS.ClientAuth, s.TLS.ClientCAs = tls.RequireAndVerifyClientCert, l.ca.Pool()
	})
	o := l.options("certificate", url, l.ca.Pool())
	for _, other := range []*tls.Certificate{nil, o.Other} {
		o.Other, o.Checks = other, []string{"certificate-missing", "certificate-other", "header-nginx"}
		r, err := Run(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		want := []State{Passed, Unclear, Skipped}
		if other != nil {
			want = []State{Passed, Passed, Passed}
		}
		for i, x := range r.Results {
			if x.State != want[i] {
				t.Errorf("another certificate: %t, %s: got %s %s, want %s", other != nil, x.Name, x.State, x.Detail, want[i])
			}
		}
	}
}

// GET and HEAD alone are sent, by one who says who he is, unless other methods are allowed; whoever waits is told how far it is.
func TestMethods(t *testing.T) {
	l := newLab(t)
	a := l.openAPI("")
	var seen sync.Map
	server := l.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r.Method, true)
		if r.Header.Get("User-Agent") != "popauth-probe" {
			t.Errorf("got User-Agent %q", r.Header.Get("User-Agent"))
		}
		a.ServeHTTP(w, r)
	}))
	methods := func() string {
		var all []string
		seen.Range(func(k, _ any) bool { all = append(all, k.(string)); return true })
		slices.Sort(all)
		return strings.Join(all, " ")
	}
	o := l.options("certificate", server.URL+"/orders", l.ca.Pool())
	last := -1
	o.Progress = func(done, all, requests int, name string) {
		if done != last+1 || all != len(Checks()) || (name == "") != (done == all) || requests < done/10 {
			t.Errorf("progress: got %d of %d after %d, %d requests, %q", done, all, last, requests, name)
		}
		last = done
	}
	if _, err := Run(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	if got := methods(); got != "GET HEAD" || last != len(Checks()) {
		t.Errorf("got %s, want GET and HEAD; progress ended at %d", got, last)
	}
	u, err := o.complete()
	if err != nil {
		t.Fatal(err)
	}
	quiet := &session{ctx: context.Background(), options: o, url: u}
	c := quiet.owner()
	if c.method = "DELETE"; !errors.Is(quiet.send(c).err, errMethod) {
		t.Error("DELETE: got no error")
	}
	o.Progress, o.Methods, o.Checks = nil, []string{"POST", "OPTIONS"}, []string{"other-methods"}
	if r, err := Run(context.Background(), o); err != nil || r.Count(Passed) != 1 || methods() != "GET HEAD OPTIONS POST" {
		t.Errorf("got %v, %s, want POST and OPTIONS, too", err, methods())
	}
}

// Where the owner is refused afterwards, no refusal counts.
func TestLockedOut(t *testing.T) {
	l := newLab(t)
	a := l.openAPI("")
	var n atomic.Int64
	server := l.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) > 12 {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		a.ServeHTTP(w, r)
	}))
	r, err := Run(context.Background(), l.options("certificate", server.URL+"/orders", l.ca.Pool()))
	if err != nil {
		t.Fatal(err)
	}
	if r.Results[0].State != Unclear || !strings.Contains(r.Results[0].Detail, "403 Forbidden") {
		t.Errorf("got %s %s, want unclear", r.Results[0].State, r.Results[0].Detail)
	}
	for _, x := range r.Results {
		if x.State == Passed {
			t.Errorf("%s has passed", x.Name)
		}
	}
}

// An answer without an end is read to a bound, and one that doesn't come is waited for to a bound.
func TestHostileAnswers(t *testing.T) {
	l := newLab(t)
	a := l.openAPI("")
	server := l.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) > 0 && r.Header.Get("Authorization") != "" {
			a.ServeHTTP(w, r)
			return
		}
		if r.Header.Get("Authorization") == "" {
			<-r.Context().Done()
			return
		}
		w.Header().Set("WWW-Authenticate", strings.Repeat("Bearer ", 4000))
		w.WriteHeader(http.StatusUnauthorized)
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, strings.Repeat("x", 1<<16)); err != nil {
				return
			}
		}
	}))
	o := l.options("certificate", server.URL+"/orders", l.ca.Pool())
	o.Timeout = 300 * time.Millisecond
	o.Checks = []string{"no-credentials", "certificate-missing", "challenge-syntax"}
	began := time.Now()
	r, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
	want := map[string]State{"no-credentials": Unclear, "certificate-missing": Passed, "challenge-syntax": Found}
	for _, x := range r.Results {
		if x.State != want[x.Name] {
			t.Errorf("%s: got %s %s, want %s", x.Name, x.State, x.Detail, want[x.Name])
		}
		if len(x.Detail) > 600 {
			t.Errorf("%s: %d bytes of detail", x.Name, len(x.Detail))
		}
	}
}

// Challenges as RFC 9110, section 11.6.1, has them, and such as it hasn't.
func TestChallenge(t *testing.T) {
	for _, tt := range []struct {
		line string
		want string // empty: refused
	}{
		{`Bearer`, "Bearer map[]"},
		{`Bearer realm="a", error="invalid_token"`, "Bearer map[error:invalid_token realm:a]"},
		{`Bearer realm="a, b", DPoP algs="ES256 PS256"`, "Bearer map[realm:a, b] DPoP map[algs:ES256 PS256]"},
		{`Negotiate, Bearer x=y`, "Negotiate map[] Bearer map[x:y]"},
		{`Basic dGVzdA==, Bearer realm = "a"`, "Basic map[] Bearer map[realm:a]"},
		{`Bearer realm="a\"b"`, `Bearer map[realm:a"b]`},
		{`, Bearer ,`, "Bearer map[]"},
		{`Bearer realm=`, "Bearer map[]"}, // token68
		{``, ""}, {`Bearer realm="a" error="b"`, ""}, {`realm="a"`, ""}, {`Bearer realm="a`, ""}, {`Bearer a="1", a="2"`, ""},
		{"Bearer realm=\"a\x01\"", ""}, {`Bearer: x`, ""}, {`Bearer realm='a b'`, ""}, {`"Bearer"`, ""},
		{`Bearer realm="a\`, ""}, {`Bearer realm=a b`, ""},
	} {
		list, err := parseChallenges(http.Header{"Www-Authenticate": {tt.line}})
		got := ""
		for _, c := range list {
			got += fmt.Sprintf(" %s %v", c.scheme, c.params)
		}
		if got = strings.TrimSpace(got); err != nil {
			got = ""
		}
		if got != tt.want {
			t.Errorf("%s: got %q, %v, want %q", tt.line, got, err, tt.want)
		}
	}
}

func FuzzChallenge(f *testing.F) {
	f.Add(`Bearer realm="a, b", DPoP algs="ES256 PS256"`)
	f.Add(`Basic dGVzdA==, Bearer a="\"`)
	f.Fuzz(func(t *testing.T, line string) {
		list, err := parseChallenges(http.Header{"Www-Authenticate": {line}})
		if err == nil && len(list) == 0 {
			t.Error("neither a challenge nor an error")
		}
		for _, c := range list {
			if c.scheme == "" || !strings.Contains(line, c.scheme) {
				t.Errorf("scheme %q", c.scheme)
			}
		}
	})
}
