package decisions_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// An event stream ends with its token, under HTTP/1.1 and HTTP/2, and its context says why. With OutliveToken, and with a token
// that has no end, it goes on.
func TestStreamEndsWithToken(t *testing.T) {
	const left = 300 * time.Millisecond
	l := lab.New(t)
	end := l.Clock.Now().Add(time.Hour)
	bound := l.Bound(popauthtest.Claims{"exp": end.Unix()})
	endless := l.Bound(popauthtest.Claims{"exp": popauthtest.Omit})
	l.Clock.Advance(time.Hour + 30*time.Second - left) // 30 s are the leeway by default
	verifier, err := popauth.NewJWTVerifier(popauth.JWTOptions{
		Issuer: l.Issuer.URL, Audience: []string{popauthtest.Audience}, AllowMissingExpiration: true, Now: l.Clock.Now,
		Keys: l.Issuer.Options().Keys,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, token string
		outlive     bool
		ends        bool
	}{
		{name: "ends", token: bound, ends: true},
		{name: "outlives", token: bound, outlive: true},
		{name: "no exp", token: endless},
	} {
		for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
			t.Run(tt.name+" "+proto, func(t *testing.T) {
				g := l.Guard(func(o *popauth.Options) {
					*o = popauth.Options{Verifier: verifier, Now: l.Clock.Now, OutliveToken: tt.outlive, Logger: o.Logger}
				})
				cause := make(chan error, 1)
				api := popauthtest.NewServer(t, g.Confirm(stream(cause)), func(c *tls.Config) {
					if proto == "HTTP/1.1" {
						c.NextProtos = []string{"http/1.1"}
					}
				})
				took, got := follow(t, l.Owner.HTTP(api), api.URL, tt.token)
				if got != proto {
					t.Fatalf("got %s, want %s", got, proto)
				}
				if ended := took < 3*left; ended != tt.ends {
					t.Errorf("the stream took %v, want an end by the token: %t", took, tt.ends)
				}
				var e *popauth.Error
				if err := <-cause; tt.ends != (errors.As(err, &e) && e.Reason == popauth.ErrTokenExpired) {
					t.Errorf("got cause %v", err)
				}
			})
		}
	}
}

// stream writes a line when it begins, and goes on until its context ends.
func stream(cause chan<- error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintln(w, "data: begun")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		cause <- context.Cause(r.Context())
	})
}

// follow reads a stream for a second at most, and says how long it was.
func follow(t *testing.T, client *http.Client, url, token string) (time.Duration, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/news", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	began := time.Now()
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if !strings.HasPrefix(lines.Text(), "data: ") {
			t.Errorf("got %q", lines.Text())
		}
	}
	return time.Since(began), answer.Proto
}
