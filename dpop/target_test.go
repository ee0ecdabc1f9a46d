package dpop_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/seed-171ab058/popauth/dpop"
)

// A proof for a URL that can't be told is good for no other one.
func TestTargetsThatCantBeTold(t *testing.T) {
	at := func(host string) *http.Request {
		return httptest.NewRequest(http.MethodGet, "https://"+host+"/orders", http.NoBody)
	}
	d, err := dpop.New(dpop.Options{URL: func(r *http.Request) *url.URL {
		if r.Host == "none" {
			return nil
		}
		return r.URL
	}})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		a, b string
		want bool
	}{
		"the same": {"a", "a", true}, "another": {"a", "b", false},
		"none": {"none", "none", false}, "the first none": {"none", "a", false}, "the second none": {"a", "none", false},
	} {
		if got := d.HoldsFor(d, at(tt.a), at(tt.b)); got != tt.want {
			t.Errorf("%s: got %t, want %t", name, got, tt.want)
		}
	}
}
