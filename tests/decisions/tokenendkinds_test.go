package decisions_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// endLab is an API whose owner's token ends soon.
type endLab struct {
	*lab.Lab
	token string
}

const tokenLeft = 300 * time.Millisecond

func newEndLab(t *testing.T) endLab {
	t.Helper()
	l := lab.New(t)
	end := l.Clock.Now().Add(time.Hour)
	token := l.Bound(popauthtest.Claims{"exp": end.Unix()})
	l.Clock.Advance(time.Hour + 30*time.Second - tokenLeft) // 30 s are the leeway by default
	return endLab{l, token}
}

// serve serves a handler behind Confirm, under HTTP/1.1 alone or HTTP/2 too.
func (l endLab) serve(t *testing.T, h http.Handler, proto string) *endServer {
	t.Helper()
	api := popauthtest.NewServer(t, l.Guard().Confirm(h), func(c *tls.Config) {
		if proto == "HTTP/1.1" {
			c.NextProtos = []string{"http/1.1"}
		}
	})
	return &endServer{url: api.URL, client: l.Owner.HTTP(api), token: l.token}
}

type endServer struct {
	url, token string
	client     *http.Client
}

func (s *endServer) do(t *testing.T, method string, body io.Reader) (*http.Response, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, method, s.url+"/orders", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.token)
	return s.client.Do(r)
}

// endsByToken reads why a context has ended.
func endsByToken(t *testing.T, why <-chan error) {
	t.Helper()
	select {
	case err := <-why:
		if e, ok := errors.AsType[*popauth.Error](err); !ok || e.Reason != popauth.ErrTokenExpired {
			t.Errorf("got cause %v, want %v", err, popauth.ErrTokenExpired)
		}
	case <-time.After(10 * tokenLeft):
		t.Error("it goes on, though its token has ended")
	}
}

// An upload whose client goes on for ever ends with its token, by the lines that docs/streams.md has: whoever waits for a body
// waits for no context.
func TestUploadEndsWithToken(t *testing.T) {
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		for _, pause := range []time.Duration{20 * time.Millisecond, time.Hour} {
			t.Run(fmt.Sprint(proto, " ", pause), func(t *testing.T) {
				l := newEndLab(t)
				why := make(chan error, 1)
				s := l.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					stop := context.AfterFunc(r.Context(), func() {
						_ = http.NewResponseController(w).SetReadDeadline(time.Now()) // ends a Read that waits
					})
					defer stop()

					_, err := io.Copy(io.Discard, r.Body)
					if err == nil {
						t.Error("got the whole of a body that doesn't end")
					}
					why <- context.Cause(r.Context())
				}), proto)
				in, out := io.Pipe()
				go func() {
					if resp, err := s.do(t, http.MethodPost, in); err == nil {
						_ = resp.Body.Close()
					}
				}()
				go func() {
					for _, err := out.Write([]byte("x")); err == nil; _, err = out.Write([]byte("x")) {
						time.Sleep(pause)
					}
				}()
				endsByToken(t, why)
				_ = in.Close()
			})
		}
	}
}

// What others make of a stage's context ends with the token: that of http.TimeoutHandler, and the call of a reverse proxy.
func TestDerivedContextsEndWithToken(t *testing.T) {
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run("TimeoutHandler "+proto, func(t *testing.T) {
			why := make(chan error, 1)
			s := newEndLab(t).serve(t, http.TimeoutHandler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				<-r.Context().Done()
				why <- context.Cause(r.Context())
			}), time.Minute, "late"), proto)
			resp, err := s.do(t, http.MethodGet, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			endsByToken(t, why)
		})
		t.Run("ReverseProxy "+proto, func(t *testing.T) {
			l := newEndLab(t)
			gone := make(chan struct{})
			behind := popauthtest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, "data: begun\n")
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
				close(gone)
			}))
			to, err := url.Parse(behind.URL)
			if err != nil {
				t.Fatal(err)
			}
			s := l.serve(t, &httputil.ReverseProxy{
				Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }, Transport: l.Owner.HTTP(behind).Transport, FlushInterval: -1,
				ErrorLog: log.New(io.Discard, "", 0),
			}, proto)
			resp, err := s.do(t, http.MethodGet, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if string(body) != "data: begun\n" || err == nil {
				t.Errorf("got %q, %v, want an answer that is broken off", body, err)
			}
			select {
			case <-gone:
			case <-time.After(10 * tokenLeft):
				t.Error("the server behind goes on")
			}
		})
	}
}

// A connection that a handler has taken over has the context of its request, which ends with the token, too; deadlines and Hijack
// are those of the server.
func TestHijackedEndsWithToken(t *testing.T) {
	why := make(chan error, 1)
	s := newEndLab(t).serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		if err := errors.Join(c.SetReadDeadline(time.Now().Add(time.Minute)), c.SetWriteDeadline(time.Now().Add(time.Minute))); err != nil {
			t.Error(err)
		}
		conn, rw, err := c.Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
		_ = rw.Flush()
		<-r.Context().Done()
		why <- context.Cause(r.Context())
	}), "HTTP/1.1")
	resp, err := s.do(t, http.MethodGet, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := resp.Body.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want %v", err, io.EOF)
	}
	endsByToken(t, why)
}

// Work that is to go on behind its request keeps who it is for, and ends by itself alone.
func TestWithoutCancelOutlivesToken(t *testing.T) {
	kept := make(chan context.Context, 1)
	s := newEndLab(t).serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		ctx := context.WithoutCancel(r.Context())
		<-r.Context().Done()
		kept <- ctx
	}), "HTTP/2.0")
	if resp, err := s.do(t, http.MethodGet, http.NoBody); err == nil {
		_ = resp.Body.Close()
	}
	ctx := <-kept
	if p, ok := popauth.FromContext(ctx); !ok || p.Subject == "" || ctx.Err() != nil || ctx.Done() != nil || context.Cause(ctx) != nil {
		t.Errorf("got %v, %t, %v", p, ok, ctx.Err())
	}
}
