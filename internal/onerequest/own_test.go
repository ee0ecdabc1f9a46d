package onerequest

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Two requests that a server has read, or an adapter made, are never the same by their text, whatever tables it is from.
func TestOwnText(t *testing.T) {
	const indexed = "/orders"
	converted := string([]byte(strings.Repeat("/", 1))) // of one byte, by the runtime
	for name, tt := range map[string]struct {
		major int
		line  string
	}{
		"HTTP/2, static table":             {2, "/"},
		"HTTP/2, dynamic table":            {2, indexed},
		"HTTP/3":                           {3, indexed},
		"no protocol":                      {0, indexed},
		"HTTP/1 by an adapter, a constant": {1, "/"},
		"HTTP/1 by an adapter, one byte":   {1, converted},
		"no line":                          {1, ""},
		"no line, HTTP/2":                  {2, ""},
	} {
		request := func() *http.Request {
			path := tt.line
			if path == "" {
				path = indexed
			}
			return &http.Request{ProtoMajor: tt.major, RequestURI: tt.line, URL: &url.URL{Path: path},
				Header: http.Header{"Accept": {"*/*"}}}
		}
		first, second := Own(request(), nil), Own(request(), nil)
		bare := request() // as a handler inside makes it
		switch {
		case Same(first, second), Same(first, bare), Same(second, first):
			t.Errorf("%s: another request is taken for the same", name)
		case first.RequestURI == "" || first.RequestURI != second.RequestURI:
			t.Errorf("%s: got lines %q and %q", name, first.RequestURI, second.RequestURI)
		case !Same(first, first.Clone(t.Context())):
			t.Errorf("%s: a clone is taken for another request", name)
		}
		if again := first.Clone(t.Context()); Own(again, first) != again {
			t.Errorf("%s: text of its own was copied again", name)
		}
	}
}

// The text of an HTTP/1 request stays where it is: an adapter makes each handler a request with the same.
func TestOwnTextOfHTTP1(t *testing.T) {
	for _, line := range []string{"/", "/orders"} {
		r := &http.Request{ProtoMajor: 1, RequestURI: strings.Clone(line), URL: &url.URL{Path: line}}
		if got := Own(r, nil); got != r {
			t.Errorf("%s: got a copy", line)
		}
		if n := testing.AllocsPerRun(100, func() { Own(r, nil) }); n > 0 {
			t.Errorf("%s: got %v allocations, want none", line, n)
		}
	}
	for name, u := range map[string]*url.URL{"no URL": nil, "opaque": {Opaque: "x"}, "no path": {Path: "orders"}} {
		r := &http.Request{ProtoMajor: 1, URL: u}
		if got := Own(r, nil); got != r {
			t.Errorf("%s: got line %q", name, got.RequestURI)
		}
	}
}
