// Package fiber is an API on fiber v3, whose server is fasthttp's.
package fiber

import (
	"bytes"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v3"
)

type requestKey struct{}

// Stage runs a stage of a Guard, or other net/http middleware that either lets pass or answers, as a fiber handler. It
// takes the place of fiber's adaptor.HTTPMiddleware, which must not be used with popauth: that one hands over memory
// that the next request is read into, joins header lines, and gives handlers back what a stage has removed.
func Stage(stage func(http.Handler) http.Handler) fiber.Handler {
	return func(c fiber.Ctx) error {
		r, err := request(c)
		if err != nil {
			return c.SendStatus(http.StatusBadRequest)
		}
		before := r.Header.Clone()
		var passed *http.Request
		w := &answer{header: http.Header{}, status: http.StatusOK}
		stage(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { passed = r })).ServeHTTP(w, r)
		if passed != nil && (passed.Method != r.Method || passed.URL.EscapedPath() != r.URL.EscapedPath()) {
			return c.SendStatus(http.StatusBadRequest) // fiber would go on by the method and the path from before
		}
		for name, lines := range w.header {
			c.Response().Header.Del(name)
			for _, line := range lines {
				c.Response().Header.Add(name, line)
			}
		}
		if passed == nil {
			c.Status(w.status).Response().SetBody(w.body.Bytes())
			return nil
		}
		rewrite(c, before, passed.Header)
		c.Locals(requestKey{}, passed)
		c.SetContext(passed.Context())
		return c.Next()
	}
}

// Request is the request as the last Stage has handed it on: for guard.Recheck, guard.Check and guard.Refuse. It has no body.
func Request(c fiber.Ctx) (*http.Request, bool) {
	r, ok := c.Locals(requestKey{}).(*http.Request)
	return r, ok
}

// request copies all that it takes, since fasthttp reads the next request into the same memory. Several stages get one
// request, so that a DPoP proof is used once.
func request(c fiber.Ctx) (*http.Request, error) {
	if r, ok := Request(c); ok {
		if r.Method != c.Method() || r.URL.EscapedPath() != c.Path() && r.URL.Path != c.Path() {
			return nil, errors.New("rewritten since the last stage")
		}
		return r, nil
	}
	line := string(c.Request().Header.RequestURI())
	u, err := url.ParseRequestURI(line)
	if err != nil {
		return nil, err
	}
	if u.EscapedPath() != c.Path() && u.Path != c.Path() {
		return nil, errors.New("rewritten before the first stage")
	}
	r := &http.Request{
		Method: strings.Clone(c.Method()), URL: u, RequestURI: line, Host: string(c.Request().Host()),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Body: http.NoBody,
		RemoteAddr: c.RequestCtx().RemoteAddr().String(), TLS: c.RequestCtx().TLSConnectionState(),
	}
	for name, line := range c.Request().Header.All() {
		if key := http.CanonicalHeaderKey(string(name)); key != "Host" { // as net/http has it
			r.Header[key] = append(r.Header[key], string(line))
		}
	}
	return r.WithContext(c.Context()), nil
}

// rewrite does to fiber's request what a stage has done to the header: what it has removed, no handler may read.
func rewrite(c fiber.Ctx, before, after http.Header) {
	header := &c.Request().Header
	changed := map[string]bool{}
	for name := range before {
		changed[name] = !slices.Equal(before[name], after[name])
	}
	for name := range after {
		changed[name] = !slices.Equal(before[name], after[name])
	}
	maps.DeleteFunc(changed, func(_ string, c bool) bool { return !c })
	if len(changed) == 0 {
		return
	}
	var old []string // as they are spelled there: fiber can be told to leave names as sent
	for name := range header.All() {
		if changed[http.CanonicalHeaderKey(string(name))] {
			old = append(old, string(name))
		}
	}
	for _, name := range old {
		header.Del(name)
	}
	for name := range changed {
		for _, line := range after[name] {
			header.Add(name, line)
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
