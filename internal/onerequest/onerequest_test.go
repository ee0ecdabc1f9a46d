package onerequest

import (
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
)

// other is a request that says the same, and shares nothing.
func other() *http.Request {
	return &http.Request{
		Method: http.MethodGet, RequestURI: strings.Clone("/orders"), URL: &url.URL{Path: "/orders"}, Body: http.NoBody,
		Header: http.Header{"Accept": {"*/*"}},
	}
}

func TestSame(t *testing.T) {
	body := &os.File{}
	for name, tt := range map[string]struct {
		share func(before, now *http.Request)
		want  bool
	}{
		"nothing":               {func(_, _ *http.Request) {}, false},
		"URL":                   {func(before, now *http.Request) { now.URL = before.URL }, true},
		"no URL":                {func(before, now *http.Request) { before.URL, now.URL = nil, nil }, false},
		"header":                {func(before, now *http.Request) { now.Header = before.Header }, true},
		"no header":             {func(before, now *http.Request) { before.Header, now.Header = nil, nil }, false},
		"body":                  {func(before, now *http.Request) { before.Body, now.Body = body, body }, true},
		"text of the line":      {func(before, now *http.Request) { now.RequestURI = before.RequestURI }, true},
		"beginning of the text": {func(before, now *http.Request) { now.RequestURI = before.RequestURI[:3] }, false},
		"no text":               {func(before, now *http.Request) { before.RequestURI, now.RequestURI = "", "" }, false},
	} {
		before, now := other(), other()
		tt.share(before, now)
		if got := Same(before, now); got != tt.want {
			t.Errorf("%s in common: got %t, want %t", name, got, tt.want)
		}
	}
	r := other()
	if !Same(r, r) || !Same(r, r.Clone(t.Context())) {
		t.Error("a request is not itself, or its clone another")
	}
}
