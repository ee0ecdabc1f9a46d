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
	// A path of 8 KiB is the longest that is read.
	escapes, queries := strings.Repeat("%20", 2700), strings.Repeat("%61=b&", 10900)
	rows := []*Hostile{
		row("path of 8 KiB, escapes", 401, func(r *http.Request, n int) { target(r, fmt.Sprintf("/%s/%d", escapes, n)) }),
		row("path of 8 KiB, odd escapes", 400, func(r *http.Request, n int) { target(r, fmt.Sprintf("/%s%%7E/%d", escapes, n)) }),
		row("path of 64 KiB, escapes", 400, func(r *http.Request, n int) {
			target(r, fmt.Sprintf("/%s/%d", strings.Repeat(escapes, 8), n))
		}),
		row("query of 64 KiB, escapes", 401, func(r *http.Request, n int) { target(r, fmt.Sprintf("/?%s%d", queries, n)) }),
	}
	rows[len(rows)-1].Why = "a few nanoseconds for each byte: names are read, since a token there is " +
		"refused. popauth bounds the path alone: a proxy bounds both, most at 8 to 16 KiB, and so does http.Server.MaxHeaderBytes"
	return append(rows,
		row("1,000 X-Forwarded headers", 401, func(r *http.Request, n int) {
			for i := range 1000 {
				r.Header[fmt.Sprintf("X-Forwarded-%d", i)] = []string{fmt.Sprint(n)}
			}
		}),
	)
}
