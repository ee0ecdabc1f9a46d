package refusals_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

const (
	everybodys = "Cache-Control: public, max-age=3600"
	ownVary    = "Vary: Authorization, DPoP"
)

// servePublic serves a request that may pass, by a recoverer, a stage and what is between, and returns what caches hear.
func servePublic(l *lab.Lab, h http.HandlerFunc, between ...func(http.Handler) http.Handler) (status int, header []string) {
	recoverer := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				if recover() != nil {
					w.WriteHeader(http.StatusInternalServerError)
				}
			}()
			next.ServeHTTP(w, r)
		})
	}
	inner := append(slices.Clone(between), popauth.PublicAnswers(time.Hour))
	w := httptest.NewRecorder()
	lab.Chain(recoverer, l.Guard().Authenticate, lab.Chain(inner...))(h).ServeHTTP(w, l.Ask())
	kept := slices.DeleteFunc(lines(w.Result().Header), func(line string) bool {
		return !strings.HasPrefix(line, "Cache-Control") && !strings.HasPrefix(line, "Vary") && !strings.HasPrefix(line, "Expires")
	})
	return w.Code, kept
}

// Only what went well is everybody's: a route that says public doesn't say it of its errors.
func TestPublicAnswersStatus(t *testing.T) {
	l := lab.New(t)
	own := []string{"Cache-Control: private", ownVary}
	for status := 200; status <= 599; status++ {
		want := own
		if status < 300 || status == http.StatusNotModified {
			want = []string{everybodys}
		}
		got, header := servePublic(l, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		if got != status || !slices.Equal(header, want) {
			t.Errorf("%d: got %d %q, want %q", status, got, header, want)
		}
	}
}

// What is everybody's is decided when the answer is written, by any of the ways to write.
func TestPublicAnswersWritten(t *testing.T) {
	l := lab.New(t)
	own := []string{"Cache-Control: private", ownVary}
	public := []string{everybodys}
	cookie := func(w http.ResponseWriter) { w.Header().Add("Set-Cookie", "sid=alice") }
	for _, tt := range []struct {
		name    string
		handler func(http.ResponseWriter)
		status  int
		want    []string
	}{
		{"nothing", func(http.ResponseWriter) {}, 200, public},
		{"Write", func(w http.ResponseWriter) { _, _ = w.Write([]byte("schema")) }, 200, public},
		{"WriteString", func(w http.ResponseWriter) { _, _ = io.WriteString(w, "schema") }, 200, public},
		{"ReadFrom", func(w http.ResponseWriter) { _, _ = io.Copy(w, onlyReader{strings.NewReader("schema")}) }, 200, public},
		{"Flush", func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }, 200, public},
		{"Flusher", func(w http.ResponseWriter) { w.(http.Flusher).Flush() }, 200, public},
		{"a cookie", cookie, 200, own},
		{"a cookie, Write", func(w http.ResponseWriter) { cookie(w); _, _ = w.Write([]byte("schema")) }, 200, own},
		{"a cookie, WriteString", func(w http.ResponseWriter) { cookie(w); _, _ = io.WriteString(w, "schema") }, 200, own},
		{"a cookie, ReadFrom", func(w http.ResponseWriter) { cookie(w); _, _ = io.Copy(w, onlyReader{strings.NewReader("schema")}) }, 200,
			own},
		{"a cookie, Flush", func(w http.ResponseWriter) { cookie(w); _ = http.NewResponseController(w).Flush() }, 200, own},
		{"a cookie, Flusher", func(w http.ResponseWriter) { cookie(w); w.(http.Flusher).Flush() }, 200, own},
		{"a cookie, 304", func(w http.ResponseWriter) { cookie(w); w.WriteHeader(304) }, 304, own},
		{"a cookie in another spelling", func(w http.ResponseWriter) { w.Header()["set-cookie"] = []string{"sid=alice"} }, 200, own},
		{"a cookie after the end", func(w http.ResponseWriter) { w.WriteHeader(200); cookie(w) }, 200, public},
		{"a nonce", func(w http.ResponseWriter) { w.Header().Set("DPoP-Nonce", "n") }, 200, own},
		{"an error after nothing was read", func(w http.ResponseWriter) {
			_, _ = w.(io.ReaderFrom).ReadFrom(brokenReader{})
			w.WriteHeader(http.StatusBadGateway)
		}, 502, own},
		{"http.Error", func(w http.ResponseWriter) { http.Error(w, "down", http.StatusServiceUnavailable) }, 503, own},
		{"an error that says public", func(w http.ResponseWriter) {
			w.Header().Set("Cache-Control", "public, max-age=60, immutable")
			w.Header().Set("Expires", "Fri, 01 Jan 2100 00:00:00 GMT")
			w.WriteHeader(404)
		}, 404, own},
		{"an error that says no-store", func(w http.ResponseWriter) {
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(404)
		}, 404, []string{"Cache-Control: no-store", ownVary}},
		{"a handler that says private", func(w http.ResponseWriter) { w.Header().Set("Cache-Control", "private") }, 200, own},
		{"panic", func(http.ResponseWriter) { panic("x") }, 500, own},
		{"panic after it was sent", func(w http.ResponseWriter) { w.WriteHeader(200); panic("x") }, 200, public},
	} {
		status, header := servePublic(l, func(w http.ResponseWriter, _ *http.Request) { tt.handler(w) })
		if status != tt.status || !slices.Equal(header, tt.want) {
			t.Errorf("%s: got %d %q, want %d %q", tt.name, status, header, tt.status, tt.want)
		}
	}
}

type onlyReader struct{ io.Reader }

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("broken") }

// What is set on an answer before a route says public counts, and public needs a stage's word in the same header.
func TestPublicAnswersOutside(t *testing.T) {
	l := lab.New(t)
	own := []string{"Cache-Control: private", ownVary}
	timeout := func(next http.Handler) http.Handler { return http.TimeoutHandler(next, time.Minute, "late") }
	for _, tt := range []struct {
		name    string
		between []func(http.Handler) http.Handler
		want    []string
	}{
		{"nothing", nil, []string{everybodys}},
		{"a cookie", []func(http.Handler) http.Handler{sets("Set-Cookie: sid=alice")}, own},
		{"a cookie in another spelling", []func(http.Handler) http.Handler{sets("set-cookie: sid=alice")}, own},
		{"a nonce in another spelling", []func(http.Handler) http.Handler{sets("DPoP-Nonce: n")}, own},
		{"a cookie, and a header map of its own", []func(http.Handler) http.Handler{sets("Set-Cookie: sid=alice"), timeout}, own},
		{"a header map of its own", []func(http.Handler) http.Handler{timeout}, own},
		{"twice", []func(http.Handler) http.Handler{popauth.PublicAnswers(time.Minute)}, []string{everybodys}},
	} {
		status, header := servePublic(l, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "schema") }, tt.between...)
		if status != 200 || !slices.Equal(header, tt.want) {
			t.Errorf("%s: got %d %q, want %q", tt.name, status, header, tt.want)
		}
	}
	w := httptest.NewRecorder()
	lab.Chain(sets("Set-Cookie: sid=alice"), l.Guard().Authenticate, popauth.PublicAnswers(time.Hour))(&popauthtest.Spy{}).ServeHTTP(w,
		l.Ask())
	if got := w.Result().Header.Get("Cache-Control"); got != "private" {
		t.Errorf("a cookie outside of the stage: got %q, want private", got)
	}
	w = httptest.NewRecorder()
	popauth.PublicAnswers(time.Hour)(&popauthtest.Spy{}).ServeHTTP(w, l.Ask())
	if got := lines(w.Result().Header); len(got) != 0 {
		t.Errorf("without a stage: got %q, want nothing", got)
	}
}

// countedConn counts what is handed to it as a file, for the kernel to send.
type countedConn struct {
	*net.TCPConn
	files *atomic.Int64
}

func (c countedConn) ReadFrom(src io.Reader) (int64, error) {
	if limited, ok := src.(*io.LimitedReader); ok {
		if _, ok := limited.R.(*os.File); ok {
			c.files.Add(1)
		}
	}
	return c.TCPConn.ReadFrom(src)
}

type countedListener struct {
	net.Listener
	files *atomic.Int64
}

func (l countedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return countedConn{c.(*net.TCPConn), l.files}, nil
}

// publicServer is a real server, whose connection would send files by itself.
func publicServer(t *testing.T, files *atomic.Int64, inner http.Handler) string {
	t.Helper()
	l := lab.New(t)
	outside := l.Guard().Authenticate(popauth.PublicAnswers(time.Hour)(inner))
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Authorization", "Bearer "+l.Issuer.Token(popauthtest.Claims{}))
		outside.ServeHTTP(w, r)
	}))
	s.Listener = countedListener{s.Listener, files}
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

// A file is still sent by the kernel: the writer of PublicAnswers is in nobody's way.
func TestPublicAnswersSendsFiles(t *testing.T) {
	content := bytes.Repeat([]byte("schema "), 20000)
	path := filepath.Join(t.TempDir(), "schema.json")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	var files atomic.Int64
	url := publicServer(t, &files, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, path) }))
	get := func(header string, value string) (int, []byte, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(header, value)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, body, answer.Header.Get("Cache-Control")
	}
	status, body, cc := get("Accept", "*/*")
	if status != 200 || !bytes.Equal(body, content) || cc != "public, max-age=3600" {
		t.Errorf("got %d, %d bytes, %q, want 200, %d bytes, public", status, len(body), cc, len(content))
	}
	if got := files.Load(); got != 1 {
		t.Errorf("got %d files handed to the connection, want 1", got)
	}
	for value, want := range map[string]string{"bytes=0-5": "206 public, max-age=3600", "bytes=9000000-": "416 private"} {
		status, _, cc := get("Range", value)
		if got := strconv.Itoa(status) + " " + cc; got != want {
			t.Errorf("Range: %s: got %s, want %s", value, got, want)
		}
	}
	later := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	if status, _, cc := get("If-Modified-Since", later); status != 304 || cc != "public, max-age=3600" {
		t.Errorf("nothing has changed: got %d %q, want 304, public", status, cc)
	}
}

// An informational status is not the answer, of which nothing is decided yet.
func TestPublicAnswersEarlyHints(t *testing.T) {
	var files atomic.Int64
	url := publicServer(t, &files, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(r.URL.Path[1:])
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(status)
	}))
	for path, want := range map[string]string{"/200": "public, max-age=3600", "/503": "private", "/404": "private"} {
		status, header, _ := lab.Fetch(t, http.DefaultClient, url+path, "")
		if got := header.Get("Cache-Control"); strconv.Itoa(status) != path[1:] || got != want {
			t.Errorf("%s: got %d %q, want %q", path, status, got, want)
		}
	}
}

// http.ResponseController and the older interfaces work through PublicAnswers, and none is there that was not before.
func TestPublicAnswersController(t *testing.T) {
	var files atomic.Int64
	arrived := make(chan struct{})
	url := publicServer(t, &files, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		if r.URL.Path != "/stream" {
			hijack := c.Hijack
			if h, ok := w.(http.Hijacker); ok && r.URL.Path == "/hijacker" {
				hijack = h.Hijack
			}
			conn, _, err := hijack()
			if err != nil {
				t.Errorf("%s: %v", r.URL.Path, err)
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
			_ = conn.Close()
			return
		}
		if err := errors.Join(c.SetReadDeadline(time.Time{}), c.SetWriteDeadline(time.Time{}), c.EnableFullDuplex()); err != nil {
			t.Error(err)
		}
		if _, ok := w.(http.Hijacker); !ok {
			t.Error("got no http.Hijacker, want the server's")
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: 1\n\n")
		w.(http.Flusher).Flush()
		<-arrived
		_, _ = io.WriteString(w, "data: 2\n\n")
		if err := c.Flush(); err != nil {
			t.Error(err)
		}
	}))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ask := func(path string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = answer.Body.Close() })
		return answer
	}
	answer := ask("/stream")
	first := make([]byte, len("data: 1\n\n"))
	if _, err := io.ReadFull(answer.Body, first); err != nil || answer.Header.Get("Cache-Control") != "public, max-age=3600" {
		t.Errorf("got %q %v %q, want the first event, public", first, err, answer.Header)
	}
	close(arrived)
	if rest, err := io.ReadAll(answer.Body); err != nil || string(rest) != "data: 2\n\n" {
		t.Errorf("got %q %v, want the second event", rest, err)
	}
	for _, path := range []string{"/hijack", "/hijacker"} {
		if status := ask(path).StatusCode; status != http.StatusNoContent {
			t.Errorf("%s: got %d, want 204", path, status)
		}
	}

	l := lab.New(t)
	plain := struct{ http.ResponseWriter }{httptest.NewRecorder()}
	l.Guard().Authenticate(popauth.PublicAnswers(time.Hour)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, flushes := w.(http.Flusher)
		_, hijacks := w.(http.Hijacker)
		if flushes || hijacks {
			t.Errorf("got Flusher %t, Hijacker %t, want none: the writer below has none", flushes, hijacks)
		}
		if err := http.NewResponseController(w).Flush(); !errors.Is(err, http.ErrNotSupported) {
			t.Errorf("got %v, want ErrNotSupported", err)
		}
		w.WriteHeader(http.StatusBadGateway)
	}))).ServeHTTP(plain, l.Ask())
	if got := plain.Header().Get("Cache-Control"); got != "private" {
		t.Errorf("an error after Flush that isn't supported: got %q, want private", got)
	}
}
