package main

import (
	"net/http"
	"testing"

	"github.com/seed-171ab058/popauth/popauthtest"
)

// preflight is what a browser asks before a request of another origin (https://fetch.spec.whatwg.org/#cors-preflight-fetch).
func preflight() request {
	return request{method: http.MethodOptions, token: "none", as: &popauthtest.Client{}, header: http.Header{
		"Origin": {"https://app.example.com"}, "Access-Control-Request-Method": {"GET"},
		"Access-Control-Request-Headers": {"authorization,dpop"},
	}}
}

// A preflight has no token, and is refused like any other request without: the API never gets it unasked.
func TestPreflightRefused(t *testing.T) {
	for _, l := range lanes {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			w := opened(t, l, nil)
			if got, err := w.outcome(preflight()); err != nil || got != "401, 2 challenges" {
				t.Errorf("got %s, %v, want 401, 2 challenges", got, err)
			}
			r := preflight()
			r.header.Set("Access-Control-Request-Method", "DELETE")
			r.target = "/admin"
			if got, err := w.outcome(r); err != nil || got != "404" {
				t.Errorf("a path that isn't named: got %s, %v, want 404", got, err)
			}
		})
	}
}
