package main

import (
	"net/http"
	"strings"
	"testing"
)

// No header that names another method or path, or the caller, reaches the API under a name that it may take for the same, whatever
// stands for the hyphens: it is removed, or the service refuses it.
func TestSpellings(t *testing.T) {
	fold := func(name string) string {
		return strings.Map(func(c rune) rune {
			if c < '0' || c > '9' && c < 'a' || c > 'z' {
				return '-'
			}
			return c
		}, strings.ToLower(name))
	}
	managed := overrides("DELETE", "/admin")
	for name, values := range forged("-") {
		managed[name] = values
	}
	for _, l := range lanes {
		if l.proxy != "nginx" && l.proxy != "envoy" {
			continue
		}
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			w := opened(t, l, nil)
			for name, values := range managed {
				for _, separator := range "-!#$%&'*+.^_`|~" {
					all := strings.ReplaceAll(name, "-", string(separator))
					for _, spelled := range []string{all, strings.ToLower(all), strings.Replace(name, "-", string(separator), 1)} {
						before := len(w.upstream.seen)
						got, err := w.outcome(request{header: http.Header{spelled: values}})
						if err != nil || got != "400" && !strings.HasPrefix(got, "200") {
							t.Errorf("%s: got %s, %v, want 200 or 400", spelled, got, err)
						}
						for _, h := range w.upstream.seen[before:] {
							for arrived, v := range h {
								if fold(arrived) == fold(name) && v[0] == values[0] {
									t.Errorf("%s: the API sees %s: %q", spelled, arrived, v)
								}
							}
						}
					}
				}
			}
		})
	}
}
