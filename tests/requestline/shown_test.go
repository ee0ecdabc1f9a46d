package requestline_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
)

// A request that is refused for its line has no query in the error and in the log, also where the mark is encoded.
func TestRefusedLineHasNoQuery(t *testing.T) {
	const secret = "hunter2"
	var log strings.Builder
	l := lab.New(t)
	g := l.Guard(func(o *popauth.Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	for _, target := range []string{
		"/a//b?token=" + secret, "/a//b%3Ftoken=" + secret, "/a//b%253Ftoken=" + secret, "/a%2Fb%23token=" + secret,
		"/a/%2e%2e/b%3ftoken=" + secret, "//user:" + secret + "@api.example.com//b", "/a%3Ftoken=" + secret + "//b",
	} {
		log.Reset()
		r := l.Owner.Request(http.MethodGet, "/", l.Bound())
		lab.Retarget(r, target)
		_, err := g.Decide(r)
		if !lab.ReasonIs(err, popauth.ErrRequestLine) {
			t.Errorf("%s: got %v, want %v", target, err, popauth.ErrRequestLine)
			continue
		}
		g.Refusal(r, err)
		if all := err.Error() + "\n" + log.String(); strings.Contains(all, secret) {
			t.Errorf("%s: got the secret in %s", target, all)
		}
	}
}
