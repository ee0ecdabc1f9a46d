package refusals_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// ofAnother describes a representation that a handler further out meant to send.
var ofAnother = []string{
	"Cache-Control: public, max-age=31536000, immutable", "cache-control: public", "Expires: Fri, 01 Jan 2100 00:00:00 GMT", "Age: 1",
	"Surrogate-Control: max-age=60", "X-Accel-Expires: 60", "CDN-Cache-Control: max-age=60", "Etag: \"a\"",
	"Last-Modified: Fri, 02 Jan 2026 00:00:00 GMT",
	"Content-Encoding: br", "Content-Length: 12", "Content-Range: bytes 0-1/2", "Accept-Ranges: bytes", "Content-Location: /a",
	"Content-Disposition: attachment",
	"Content-Digest: sha-256=:AAAA:", "X-Accel-Redirect: /internal/orders", "X-Sendfile: /orders",
}

// Nobody may keep a refusal, or take it for what handlers further out have announced.
func TestRefusalIsNotKept(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	broken := lab.SourceFunc(func(*http.Request) (*popauth.Certificate, error) { return nil, popauth.ErrCertificateMalformed })
	nobody := func() *http.Request { return httptest.NewRequest("GET", "/orders", nil) }
	early := func() *http.Request {
		r := l.Ask()
		r.Header.Set("Early-Data", "1")
		return r
	}
	twoReadings := func() *http.Request { return l.Owner.Request("GET", "/a/../orders", l.Bound()) }
	for name, tt := range map[string]struct {
		wrap    func(http.Handler) http.Handler
		request func() *http.Request
		status  int
	}{
		"Authenticate": {g.Authenticate, nobody, 401},
		"Confirm": {g.Confirm, func() *http.Request { return l.Thief.Request("GET", "/orders", l.Bound()) },
			401},
		"Authorize": {g.Authorize(popauth.Scope("admin")), l.Ask, 403},
		"Authorize inside of Authenticate": {lab.Chain(g.Authenticate, sets(ofAnother...), g.Authorize(popauth.Scope("admin"))), l.Ask,
			403},
		"early data":                       {g.Authenticate, early, 425},
		"a zero Guard":                     {new(popauth.Guard).Authenticate, l.Ask, 500},
		"ClientCertificate":                {popauth.ClientCertificate(broken), l.Ask, 400},
		"RequireCertificate":               {clientcert.Require(popauth.TLSCertificate()), nobody, 403},
		"RequireCertificate, policy":       {clientcert.Require(nil, clientcert.Thumbprint(l.Thief.Thumbprint())), l.Ask, 403},
		"RequireCertificate, two readings": {clientcert.Require(nil), twoReadings, 400},
		"RequestLine":                      {popauth.RequestLine{}.Handler, twoReadings, 400},
		"Refuse":                           {func(http.Handler) http.Handler { return refusing(g) }, l.Ask, 403},
		"Refuse inside of a stage": {lab.Chain(g.Authenticate, func(http.Handler) http.Handler { return refusing(g) }), l.Ask,
			403},
		"ProblemDetails": {l.Guard(func(o *popauth.Options) { o.Deny = popauth.ProblemDetails }).Authenticate, nobody,
			401},
		"Deny that says that it may be kept": {denying(l, sets(ofAnother...)(http.NotFoundHandler())), nobody, 404},
		"Deny that says so, without an end":  {denying(l, sets(ofAnother...)(&popauthtest.Spy{})), nobody, 401},
	} {
		o := lab.Send(lab.Chain(sets(ofAnother...), sets("X-Frame-Options: DENY"), tt.wrap), tt.request())
		if o.Status != tt.status || o.Ran {
			t.Errorf("%s: got %d, ran %t, want %d", name, o.Status, o.Ran, tt.status)
		}
		if !slices.Equal(o.Header["Cache-Control"], []string{"no-store"}) || o.Header.Get("X-Frame-Options") != "DENY" {
			t.Errorf("%s: got %q, want no-store", name, lines(o.Header))
		}
		for _, line := range ofAnother[1:] {
			field, value, _ := strings.Cut(line, ": ")
			if slices.Contains(o.Header[field], value) && (!strings.HasPrefix(name, "Deny that") || !strings.HasPrefix(field, "Content-")) {
				t.Errorf("%s: got %s: %s", name, field, value)
			}
		}
	}
}

func refusing(g *popauth.Guard) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.Refuse(w, r, popauth.ErrForbidden) })
}

// denying is a stage whose refusals are answered by a handler.
func denying(l *lab.Lab, h http.Handler) func(http.Handler) http.Handler {
	return l.Guard(func(o *popauth.Options) {
		o.Deny = func(w http.ResponseWriter, r *http.Request, _ *popauth.Error) { h.ServeHTTP(w, r) }
	}).Authenticate
}

// Deny chooses how a refusal looks, and can't say that it is none: neither that it went well, nor that what a cache has is
// still right, nor something that a browser keeps.
func TestDenyStatus(t *testing.T) {
	l := lab.New(t)
	for status := 100; status <= 999; status++ {
		want := 401
		switch {
		case status == 412 || status == 416: // answers to preconditions and ranges
		case status == 302 || status == 303 || status == 307 || status >= 400 && status <= 599:
			want = status
		}
		o := lab.Send(denying(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })),
			l.Thief.Request("GET", "/", ""))
		if o.Status != want || o.Ran {
			t.Errorf("%d: got %d, want %d", status, o.Status, want)
		}
	}
}

// A page that Deny serves from a file is always sent whole.
func TestDenyServesFile(t *testing.T) {
	l := lab.New(t)
	page := filepath.Join(t.TempDir(), "refused.html")
	if err := os.WriteFile(page, []byte("refused"), 0o600); err != nil {
		t.Fatal(err)
	}
	changed := time.Now().Add(-time.Hour)
	if err := os.Chtimes(page, changed, changed); err != nil {
		t.Fatal(err)
	}
	file := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		http.ServeFile(w, r, page)
	})
	server := popauthtest.NewServer(t, denying(l, file)(&popauthtest.Spy{}))
	client := (*popauthtest.Client)(nil).HTTP(server)
	late, soon := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), changed.Add(-time.Hour).UTC().Format(http.TimeFormat)
	for name, value := range map[string]string{
		"": "", "If-Modified-Since": late, "If-None-Match": `"1"`, "If-Match": `"2"`, "If-Unmodified-Since": soon, "Range": "bytes=0-1",
		"If-Range": `"1"`,
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(name, value)
		if name == "" {
			r.Header = http.Header{"Range": {"bytes=900-"}, "If-Range": {`"1"`}}
		}
		status, header, body := lab.Exchange(t, client, r)
		if status != 401 || body != "refused" || header.Get("ETag") != "" || header.Get("Last-Modified") != "" ||
			header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: got %d %q %q, want 401, all of it", name, status, body, lines(header))
		}
	}
}

// What Deny gets has no way around it.
func TestDenyWriter(t *testing.T) {
	l := lab.New(t)
	for name, deny := range map[string]http.HandlerFunc{
		"Unwrap": func(w http.ResponseWriter, _ *http.Request) {
			if u, ok := w.(interface{ Unwrap() http.ResponseWriter }); ok {
				u.Unwrap().WriteHeader(http.StatusOK)
			}
		},
		"Hijack": func(w http.ResponseWriter, _ *http.Request) {
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
				_ = conn.Close()
			}
		},
		"Flush": func(w http.ResponseWriter, _ *http.Request) {
			if f, ok := w.(http.Flusher); ok {
				f.Flush()
			}
			_ = http.NewResponseController(w).Flush()
		},
		"ReadFrom": func(w http.ResponseWriter, _ *http.Request) {
			if f, ok := w.(interface {
				ReadFrom(*strings.Reader) (int64, error)
			}); ok {
				_, _ = f.ReadFrom(strings.NewReader("x"))
			}
		},
		"early hints": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusSwitchingProtocols)
		},
		"no status at all": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(0) },
	} {
		server := popauthtest.NewServer(t, denying(l, deny)(&popauthtest.Spy{}))
		status, header, _ := lab.Fetch(t, (*popauthtest.Client)(nil).HTTP(server), server.URL, "")
		if status != 401 || header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: got %d %q, want 401", name, status, lines(header))
		}
	}
	// An informational status is no choice, so that another refusal can still be one.
	hints := func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusNotFound)
	}
	hinting := popauthtest.NewServer(t, denying(l, http.HandlerFunc(hints))(&popauthtest.Spy{}))
	if status, _, _ := lab.Fetch(t, (*popauthtest.Client)(nil).HTTP(hinting), hinting.URL, ""); status != 404 {
		t.Errorf("got %d after early hints, want 404", status)
	}
	// What is of use to a slow answer stays.
	timed := func(w http.ResponseWriter, _ *http.Request) {
		c := http.NewResponseController(w)
		if c.SetReadDeadline(time.Time{}) != nil || c.SetWriteDeadline(time.Time{}) != nil || c.EnableFullDuplex() != nil {
			t.Error("got an error, want deadlines and full duplex")
		}
	}
	server := popauthtest.NewServer(t, denying(l, http.HandlerFunc(timed))(&popauthtest.Spy{}))
	if status, _, _ := lab.Fetch(t, (*popauthtest.Client)(nil).HTTP(server), server.URL, ""); status != 401 {
		t.Errorf("got %d, want 401", status)
	}
}

// A Deny that says public and panics leaves nothing for a recoverer further out to send with its 500.
func TestDenyPanics(t *testing.T) {
	l := lab.New(t)
	panics := func(http.Handler) http.Handler {
		return denying(l, sets(ofAnother...)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			panic("deny")
		})))(&popauthtest.Spy{})
	}
	recoverer := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				if got := recover(); got != "deny" {
					t.Errorf("got panic %v, want that of Deny", got)
				}
				w.WriteHeader(http.StatusInternalServerError)
			}()
			next.ServeHTTP(w, r)
		})
	}
	o := lab.Send(lab.Chain(recoverer, panics), httptest.NewRequest("GET", "/orders", nil))
	if o.Status != 500 || o.Ran || !slices.Equal(o.Header["Cache-Control"], []string{"no-store"}) {
		t.Errorf("got %d, ran %t, %q, want 500, no-store", o.Status, o.Ran, lines(o.Header))
	}
	for _, field := range []string{"Expires", "CDN-Cache-Control", "Etag", "cache-control"} {
		if o.Header[field] != nil {
			t.Errorf("got %s: %q", field, o.Header[field])
		}
	}
}

// statuses records what is written below Deny: net/http ignores a second status, and middleware that logs or counts may not.
type statuses struct {
	http.ResponseWriter
	all []int
}

func (s *statuses) WriteHeader(status int) {
	s.all = append(s.all, status)
	s.ResponseWriter.WriteHeader(status)
}

// Whatever Deny does, one status is written, the first one.
func TestDenyWritesOneStatus(t *testing.T) {
	l := lab.New(t)
	for _, tt := range []struct {
		name string
		deny http.HandlerFunc
		want int
	}{
		{name: "nothing", deny: func(http.ResponseWriter, *http.Request) {}, want: 401},
		{name: "a status", deny: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, want: 404},
		{name: "a status and a page", want: 404, deny: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(404)
			_, _ = w.Write([]byte("no"))
			_, _ = w.Write([]byte("thing"))
		}},
		{name: "a page", want: 401, deny: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("no"))
			_, _ = w.Write([]byte("thing"))
		}},
		{name: "two statuses", want: 404, deny: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(404)
			w.WriteHeader(410)
		}},
		{name: "a status after a page", want: 401, deny: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("no"))
			w.WriteHeader(404)
		}},
		{name: "a flush", want: 401, deny: func(w http.ResponseWriter, _ *http.Request) {
			_ = http.NewResponseController(w).Flush()
			_ = http.NewResponseController(w).Flush()
		}},
	} {
		w, spy := &statuses{ResponseWriter: httptest.NewRecorder()}, &popauthtest.Spy{}
		denying(l, tt.deny)(spy).ServeHTTP(w, httptest.NewRequest("GET", "/orders", nil))
		if !slices.Equal(w.all, []int{tt.want}) || spy.Ran() > 0 {
			t.Errorf("%s: got statuses %d, ran %d, want %d alone", tt.name, w.all, spy.Ran(), tt.want)
		}
	}
}
