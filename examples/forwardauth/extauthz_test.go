package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/forwardauth"
)

// Envoy as Istio's envoyExtAuthzHttp and the Gateway API's ExternalAuth have it ask: without headers that report the request.
func TestExtAuthz(t *testing.T) {
	l := lanes[len(lanes)-1]
	report := regexp.MustCompile(`(?m)^ *- \{ key: X-Original-.*\n`)
	w := opened(t, l, func(w *world) {
		if got := len(report.FindAllString(w.setup.configuration, -1)); got != 4 {
			t.Fatalf("got %d headers that report the request, want 4", got)
		}
		w.setup.configuration = strings.Replace(report.ReplaceAllString(w.setup.configuration, ""), `path_prefix: "/auth"`,
			`path_prefix: "/auth/orders.read"`, 1)
		w.setup.headers = forwardauth.ExtAuthz("/auth/")
	})
	for _, r := range w.rows() {
		got, err := w.outcome(r)
		if err != nil || got != r.want {
			t.Errorf("%s: got %s, %v, want %s", r.name, got, err, r.want)
		}
	}
}
