package bench

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/seed-171ab058/popauth"
)

// lines are requests whose cost is in the request line and the headers.
func (s *stranger) lines() []*Hostile {
	row := func(name string, status int, change func(r *http.Request, n int)) *Hostile {
		return &Hostile{
			Name: name, Status: status, protect: s.guard(popauth.Options{}).Authenticate,
			request: func(n int) *http.Request {
				r := shows("Bearer", s.made(n))
				change(r, n)
				return r
			},
		}
	}
	target := func(r *http.Request, raw string) {
		r.RequestURI = raw
		u, err := url.ParseRequestURI(raw) // as net/http does
		if err != nil {
			s.tb.Fatalf("bench: %v", err)
		}
		r.URL = u
	}
	escapes := strings.Repeat("%20", 21000)
	queries := strings.Repeat("%61=b&", 10900)
	rows := []*Hostile{
		row("target of 64 KiB, escapes in the path", 401, func(r *http.Request, n int) { target(r, fmt.Sprintf("/%s/%d", escapes, n)) }),
		row("target of 64 KiB, odd escapes in the path", 400, func(r *http.Request, n int) {
			target(r, fmt.Sprintf("/%s%%7E/%d", escapes, n))
		}),
		row("target of 64 KiB, escapes in the query", 401, func(r *http.Request, n int) { target(r, fmt.Sprintf("/?%s%d", queries, n)) }),
	}
	for _, h := range rows {
		h.Why = "a few nanoseconds for each byte of the target, which popauth doesn't bound: a proxy does, most at 8 to 16 KiB, and " +
			"http.Server.MaxHeaderBytes"
	}
	return append(rows,
		row("1,000 X-Forwarded headers", 401, func(r *http.Request, n int) {
			for i := range 1000 {
				r.Header[fmt.Sprintf("X-Forwarded-%d", i)] = []string{fmt.Sprint(n)}
			}
		}),
	)
}
