package proxy_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/proxy"
)

// A source of somebody else's may change the slice that Headers has returned: what New has seen stays removed.
func TestManagedHeadersAreCopied(t *testing.T) {
	l := lab.New(t)
	source := &namingSource{names: []string{"Client-Cert"}}
	g := l.Guard(func(o *popauth.Options) { o.Certificate = source })
	source.names[0] = "X-Other"
	r := lab.ViaProxy(l.Unbound(), "Client-Cert", "x")
	w, ran := httptest.NewRecorder(), false
	g.Authenticate(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if ran = true; r.Header["Client-Cert"] != nil {
			t.Error("the header is there")
		}
	})).ServeHTTP(w, r)
	if !ran {
		t.Errorf("got %d, want 200", w.Code)
	}
}

type namingSource struct{ names []string }

func (*namingSource) Certificate(*http.Request) (*popauth.Certificate, error) { return nil, nil }

func (s *namingSource) Headers() ([]string, error) { return s.names, nil }

// WithoutHeaders returns the request itself where nothing can come that would have to be removed.
func TestWithoutHeadersOfWhatHasNone(t *testing.T) {
	source := lab.ByProxy(proxy.RFC9440(), proxy.TrustPeers(lab.ProxyNet))
	for name, tt := range map[string]struct {
		change func(*http.Request)
		same   bool
	}{
		"nothing":   {func(*http.Request) {}, true},
		"a body":    {func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("x")) }, false},
		"a trailer": {func(r *http.Request) { r.Trailer = http.Header{"Digest": nil} }, false},
		"a header":  {func(r *http.Request) { r.Header.Set("Client-Cert", "x") }, false},
	} {
		r := lab.ViaProxy("")
		tt.change(r)
		if got := popauth.WithoutHeaders(r, source); (got == r) != tt.same {
			t.Errorf("%s: got the request itself: %t, want %t", name, got == r, tt.same)
		}
	}
}
