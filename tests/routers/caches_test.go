package routers_test

import (
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5/middleware"
	"github.com/rs/cors"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// tagged is middleware of the usual kind for ETag: it holds the body back, names it, and answers 304.
func tagged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		held := &heldBack{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(held, r)
		tag := fmt.Sprintf("%q", fmt.Sprintf("%x", sha256.Sum256([]byte(held.body.String())))[:8])
		if held.status == http.StatusOK {
			w.Header().Set("ETag", tag)
			if r.Header.Get("If-None-Match") == tag {
				w.WriteHeader(http.StatusNotModified)
				return
			}
		}
		w.WriteHeader(held.status)
		_, _ = io.WriteString(w, held.body.String())
	})
}

type heldBack struct {
	http.ResponseWriter
	status int
	body   strings.Builder
}

func (h *heldBack) WriteHeader(status int)      { h.status = status }
func (h *heldBack) Write(b []byte) (int, error) { return h.body.Write(b) }

// answers is a handler with an answer, an event stream and an error.
func answers(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/stream":
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: 1\n\n")
		_ = http.NewResponseController(w).Flush()
		_, _ = io.WriteString(w, "data: 2\n\n")
	case "/error":
		http.Error(w, "down", http.StatusServiceUnavailable)
	default:
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, "answer")
	}
}

// beside is an API with other middleware, as one of its callers sees it.
type beside struct {
	*testing.T
	name, url, token string
	spy              *popauthtest.Spy
}

// ask holds an answer against its status, what it says to caches, and its body, and returns its header.
func (b *beside) ask(path, token string, header http.Header, status int, cacheControl, body string) http.Header {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, b.url+path, http.NoBody)
	if err != nil {
		b.Fatal(err)
	}
	r.Header = http.Header{"Origin": {"https://app.example.com"}, "Accept-Encoding": {"gzip"}}
	maps.Copy(r.Header, header)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer answer.Body.Close()
	from := io.Reader(answer.Body)
	if answer.Header.Get("Content-Encoding") == "gzip" {
		if from, err = gzip.NewReader(from); err != nil {
			b.Fatal(err)
		}
	}
	got, err := io.ReadAll(from)
	if err != nil {
		b.Fatal(err)
	}
	if cc := answer.Header["Cache-Control"]; answer.StatusCode != status || string(got) != body ||
		!slices.Equal(cc, []string{cacheControl}) {
		b.Errorf("%s, %s: got %d %q, Cache-Control %q, want %d %q, %q", b.name, path, answer.StatusCode, got, cc, status, body,
			cacheControl)
	}
	return answer.Header
}

// exchange asks for all that there is, with the token and without.
func (b *beside) exchange(m *beforeCaches, want string) {
	b.Helper()
	h := b.ask("/", b.token, nil, http.StatusOK, want, "answer")
	vary := h["Vary"]
	if own := slices.Contains(vary, "Authorization, DPoP"); own == (want == everybodys) || m.vary != "" && !slices.Contains(vary, m.vary) {
		b.Errorf("%s: got Vary %q, want popauth's unless all may have the answer, and %q", b.name, vary, m.vary)
	}
	if (h.Get("Content-Encoding") == "gzip") != m.compresses {
		b.Errorf("%s: got %q, want it compressed: %t", b.name, h, m.compresses)
	}
	if tag := h.Get("ETag"); tag != "" {
		b.ask("/", b.token, http.Header{"If-None-Match": {tag}}, http.StatusNotModified, want, "")
	}
	b.ask("/stream", b.token, nil, http.StatusOK, want, "data: 1\n\ndata: 2\n\n")
	failed := want
	if want == everybodys {
		failed = "private"
	}
	b.ask("/error", b.token, nil, http.StatusServiceUnavailable, failed, "down\n")
	ran := b.spy.Ran()
	for _, header := range []http.Header{nil, {"If-None-Match": {"*"}}, {"Range": {"bytes=0-1"}}} {
		if h := b.ask("/", "", header, http.StatusUnauthorized, "no-store", ""); b.spy.Ran() != ran || h.Get("Expires") != "" {
			b.Errorf("%s, nobody: got %q, the handler ran %d times, want a refusal", b.name, h, b.spy.Ran()-ran)
		}
	}
}

const everybodys = "public, max-age=60"

// beforeCaches is middleware that has to do with what caches hear.
type beforeCaches struct {
	name       string
	wrap       func(http.Handler) http.Handler
	says       string // of Cache-Control; empty: nothing
	vary       string
	compresses bool
}

// What popauth says to caches holds beside middleware that writes the same headers, outside of a stage and inside.
func TestCachesBesideMiddleware(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	guard, err := popauth.New(issuer.Options())
	if err != nil {
		t.Fatal(err)
	}
	origins := cors.New(cors.Options{AllowedOrigins: []string{"https://app.example.com"}, AllowCredentials: true})
	stage, public := guard.Authenticate, popauth.PublicAnswers(time.Minute)
	for _, m := range []*beforeCaches{
		{name: "nothing", wrap: func(next http.Handler) http.Handler { return next }},
		{name: "chi Compress", wrap: middleware.Compress(5, "text/plain", "text/event-stream"), vary: "Accept-Encoding", compresses: true},
		{name: "chi NoCache", wrap: middleware.NoCache, says: "no-cache, no-store, no-transform, must-revalidate, private, max-age=0"},
		{name: "rs/cors", wrap: origins.Handler, vary: "Origin"},
		{name: "ETag", wrap: tagged},
	} {
		for _, way := range []struct {
			name string
			wrap func(http.Handler) http.Handler
			want string
		}{
			{"outside", func(h http.Handler) http.Handler { return m.wrap(stage(h)) }, cmp.Or(m.says, "private")},
			{"inside", func(h http.Handler) http.Handler { return stage(m.wrap(h)) }, cmp.Or(m.says, "private")},
			{"outside, public", func(h http.Handler) http.Handler { return m.wrap(stage(public(h))) }, everybodys},
			{"inside, public", func(h http.Handler) http.Handler { return stage(m.wrap(public(h))) }, everybodys},
			{"inside of public", func(h http.Handler) http.Handler { return stage(public(m.wrap(h))) }, cmp.Or(m.says, everybodys)},
		} {
			spy := &popauthtest.Spy{Next: http.HandlerFunc(answers)}
			server := httptest.NewServer(way.wrap(spy))
			b := &beside{T: t, name: m.name + ", " + way.name, url: server.URL, token: issuer.Token(popauthtest.Claims{}), spy: spy}
			b.exchange(m, way.want)
			server.Close()
		}
	}
}
