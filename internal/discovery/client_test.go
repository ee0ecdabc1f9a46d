package discovery_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/internal/discovery"
)

const (
	issuerURL = "https://id.example.com/tenant"
	ownPage   = `{"issuer":"` + issuerURL + `","jwks_uri":"https://keys.example.net/jwks"}`
)

// site has pages by path, and notes what was asked for. Any other page is a 404.
type site struct {
	pages map[string]string
	fault func(*http.Request) error // instead of an answer; nil if there is none
	asked []string
}

func (s *site) client() *discovery.Client {
	return discovery.NewClient(&http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		s.asked = append(s.asked, r.URL.Path)
		if s.fault != nil {
			return nil, s.fault(r)
		}
		page, ok := s.pages[r.URL.Path]
		answer := &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"text/html"}}, Request: r,
			Body: http.NoBody}
		switch {
		case page == "busy":
			answer.StatusCode = http.StatusServiceUnavailable
			answer.Header.Set("Retry-After", "30")
		case !ok:
			answer.StatusCode = http.StatusNotFound
		default:
			answer.Body = body{strings.NewReader(page)}
		}
		return answer, nil
	})}, time.Now)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

type body struct{ *strings.Reader }

func (body) Close() error { return nil }

func newIssuer(t *testing.T, metadataURL string) *discovery.Issuer {
	t.Helper()
	issuer, err := discovery.NewIssuer(issuerURL, discovery.NoHTTP)
	if metadataURL != "" {
		issuer, err = discovery.NewIssuerAt(issuerURL, metadataURL, discovery.NoHTTP)
	}
	if err != nil {
		t.Fatal(err)
	}
	return issuer
}

// The usual places are asked in turn, until one has the issuer's own metadata. Whoever wants to be left alone is not asked at the
// next. Away is an issuer whose word can't be had; what it says of itself, or another in its place, is a word.
func TestFind(t *testing.T) {
	places := []string{
		"/tenant/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/tenant",
		"/.well-known/openid-configuration/tenant", "/tenant/.well-known/oauth-authorization-server",
	}
	for _, tt := range []struct {
		name        string
		pages       map[string]string
		metadataURL string
		asked       []string
		want        string // in the error; "" is none
		away        bool
	}{
		{name: "at the first place", pages: map[string]string{places[0]: ownPage}, asked: places[:1]},
		{name: "at the last place", pages: map[string]string{places[3]: ownPage}, asked: places},
		{name: "after a page for people", pages: map[string]string{places[0]: "<html>", places[1]: ownPage}, asked: places[:2]},
		{name: "where the configuration says", pages: map[string]string{"/x": ownPage},
			metadataURL: "https://login.example.com/x?key=secret", asked: []string{"/x"}},
		{name: "nowhere", asked: places, want: "oauth-authorization-server: status 404", away: true},
		{name: "not where the configuration says", pages: map[string]string{places[0]: ownPage},
			metadataURL: "https://login.example.com/x?key=secret",
			asked:       []string{"/x"}, want: "https://login.example.com/x?…: status 404", away: true},
		{name: "busy", pages: map[string]string{places[0]: "busy", places[1]: ownPage}, asked: places[:1], want: "status 503", away: true},
		{name: "a page for people", pages: map[string]string{places[0]: "<html>"}, asked: places, want: `(Content-Type "text/html")`,
			away: true},
		{name: "of another issuer", pages: map[string]string{places[0]: `{"issuer":"https://evil.example.com"}`}, asked: places,
			want: "of another issuer"},
		{name: "without the member", pages: map[string]string{places[0]: `{"issuer":"` + issuerURL + `"}`}, asked: places,
			want: "metadata: no jwks_uri: no URL"},
		{name: "inside", pages: map[string]string{places[0]: `{"issuer":"` + issuerURL + `","jwks_uri":"https://10.0.0.1/"}`},
			asked: places, want: "metadata: jwks_uri: less protected"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &site{pages: tt.pages}
			found, err := s.client().Find(t.Context(), newIssuer(t, tt.metadataURL), "jwks_uri", false)
			if !slices.Equal(s.asked, tt.asked) {
				t.Errorf("asked: got %q, want %q", s.asked, tt.asked)
			}
			if tt.want == "" {
				if err != nil || found.URL.String() != "https://keys.example.net/jwks" || found.Inside {
					t.Errorf("got %v, %v", found, err)
				}
				return
			}
			tries, ok := errors.AsType[discovery.Failures](err)
			if !ok || len(tries) != len(tt.asked) || tries.Away() != tt.away || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, away %t, want %q, %t", err, tries.Away(), tt.want, tt.away)
			}
			if found.URL != nil || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v, %q", found, err)
			}
		})
	}
}

// Once the caller has gone, no further place is asked. An error says what each place came to.
func TestFindEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := &site{fault: func(*http.Request) error {
		cancel()
		return ctx.Err()
	}}
	if _, err := s.client().Find(ctx, newIssuer(t, ""), "jwks_uri", false); !errors.Is(err, context.Canceled) || len(s.asked) != 1 {
		t.Errorf("got %v, asked %d times, want canceled, once", err, len(s.asked))
	}
}
