// Package fiber2 is an API on fiber v2, whose server is fasthttp's.
package fiber2

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"
)

type requestKey struct{}

// Stage runs a stage of a Guard, or other net/http middleware that either passes a request on or answers it, as a fiber
// handler. Don't use fiber's adaptor.HTTPMiddleware with popauth: it shares a buffer that the next request overwrites,
// joins header lines, and gives handlers the headers that a stage has removed. Make the app by New. Stage returns a Refusal
// for a request that fiber and net/http would read differently, and for a stage that wraps the ResponseWriter: the wrapper
// would never see the answer, and PublicAnswers would take an error for a 200.
func Stage(stage func(http.Handler) http.Handler) fiber.Handler {
	return func(c *fiber.Ctx) error {
		r, err := request(c)
		if err != nil {
			return err
		}
		if _, later := Request(c); !later {
			ctx, cancel := context.WithCancel(r.Context())
			defer cancel() // fasthttp ends no request's context: what waits for the token's end would be kept until then
			r = r.WithContext(ctx)
		}
		asked, answered := r.Header.Clone(), lines(&c.Response().Header)
		w := &answer{header: answered.Clone(), status: http.StatusOK}
		var passed *http.Request
		var wrapper http.ResponseWriter
		stage(http.HandlerFunc(func(got http.ResponseWriter, r *http.Request) {
			if passed = r; got != w {
				wrapper = got
			}
		})).ServeHTTP(w, r)
		if wrapper != nil {
			c.Set("Cache-Control", "no-store")
			return refuse(http.StatusInternalServerError,
				"this stage wraps the ResponseWriter, which a Stage can't hand on: leave it out, "+
					"and say in the handler itself, as it answers 200, what caches may keep", fmt.Sprintf("a %T", wrapper))
		}
		if passed != nil && (passed.Method != r.Method || !routed(c, passed.URL)) {
			return refuse(http.StatusBadRequest, "a stage has changed the method or the path, and fiber would go on by those from before: "+
				"write the path as RFC 3986 does (/~, not /%7E), or set fiber.Config.UnescapePath; change neither in a stage",
				r.Method+" "+c.Path()+", changed to "+passed.Method+" "+passed.URL.EscapedPath())
		}
		rewrite(&c.Response().Header, answered, w.header)
		if passed == nil {
			c.Status(w.status).Response().SetBody(w.body.Bytes())
			return nil
		}
		rewrite(&c.Request().Header, asked, passed.Header)
		c.Locals(requestKey{}, passed)
		c.SetUserContext(passed.Context())
		return c.Next()
	}
}

// Request is the request as the last Stage passed it on, for guard.Recheck, guard.Check and guard.Refuse. It has no body.
func Request(c *fiber.Ctx) (*http.Request, bool) {
	r, ok := c.Locals(requestKey{}).(*http.Request)
	return r, ok
}

// request is one request for all stages, so that a DPoP proof is used once. It copies everything out of fasthttp's buffer,
// which the next request overwrites.
func request(c *fiber.Ctx) (*http.Request, error) {
	if r, ok := Request(c); ok {
		if r.Method != c.Method() || !routed(c, r.URL) {
			return nil, refuse(http.StatusBadRequest, "the method or the path has changed since the last Stage: change neither",
				r.Method+" "+r.URL.EscapedPath()+", changed to "+c.Method()+" "+c.Path())
		}
		return r, nil
	}
	if err := fit(c); err != nil {
		return nil, err
	}
	if err := untrailed(c); err != nil {
		return nil, err
	}
	line := string(c.Request().Header.RequestURI())
	u, err := url.ParseRequestURI(line)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "the request target is neither a path nor a URI", line)
	}
	if !routed(c, u) {
		return nil, refuse(http.StatusBadRequest, "fiber routes by another path than the request line has: percent-encode what RFC 3986 "+
			"doesn't allow in a path, with fiber.Config.UnescapePath + and # too; change no path before the first Stage",
			line+", routed by "+c.Path())
	}
	header := lines(&c.Request().Header)
	delete(header, "Host") // as net/http has it
	r := &http.Request{
		Method: strings.Clone(c.Method()), URL: u, RequestURI: line, Host: string(c.Request().Host()),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: header, Body: http.NoBody,
		RemoteAddr: c.Context().RemoteAddr().String(), TLS: c.Context().TLSConnectionState(),
	}
	return r.WithContext(c.UserContext()), nil
}

// routed tells whether fiber routes by the path of u: as it is sent or, with fiber.Config.UnescapePath, decoded.
func routed(c *fiber.Ctx, u *url.URL) bool {
	if c.App().Config().UnescapePath {
		return c.Path() == u.Path
	}
	return c.Path() == u.EscapedPath()
}

// header is fasthttp's, of a request or of an answer, as it was in the versions that fiber v2 was made for.
type header interface {
	VisitAll(func(name, line []byte))
	Add(name, line string)
	Del(name string)
}

func lines(h header) http.Header {
	all := http.Header{}
	h.VisitAll(func(name, line []byte) {
		key := http.CanonicalHeaderKey(string(name))
		all[key] = append(all[key], string(line))
	})
	return all
}

// rewrite makes a stage's changes of net/http's header to fiber's, so that no handler reads a removed one.
func rewrite(h header, before, after http.Header) {
	var old []string // as they are spelled there: fiber can be told to leave names as sent
	h.VisitAll(func(name, _ []byte) {
		if key := http.CanonicalHeaderKey(string(name)); !slices.Equal(before[key], after[key]) {
			old = append(old, string(name))
		}
	})
	for _, name := range old {
		h.Del(name)
	}
	for name := range after {
		if slices.Equal(before[name], after[name]) {
			continue
		}
		for _, line := range after[name] {
			h.Add(name, line)
		}
	}
}

// answer keeps what a stage answers.
type answer struct {
	header http.Header
	status int
	wrote  bool
	body   bytes.Buffer
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if !a.wrote && status >= http.StatusOK {
		a.status, a.wrote = status, true
	}
}

func (a *answer) Write(b []byte) (int, error) {
	a.wrote = true
	return a.body.Write(b)
}
