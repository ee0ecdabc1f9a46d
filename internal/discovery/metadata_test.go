package discovery_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-171ab058/popauth/internal/discovery"
)

// A document of the issuer's own counts, whatever else stands in it; and one that is no metadata is told from one that says
// something.
func TestMember(t *testing.T) {
	const issuer, own = "https://id.example.com", `"issuer":"https://id.example.com"`
	for name, test := range map[string]struct {
		body    string
		aliased bool
		got     string
		want    string // of the error; "" is none
		none    bool   // no metadata
	}{
		"plain":             {body: `{` + own + `,"e":"a"}`, got: "a"},
		"alias":             {body: `{` + own + `,"e":"a","mtls_endpoint_aliases":{"e":"b"}}`, aliased: true, got: "b"},
		"alias unasked":     {body: `{` + own + `,"e":"a","mtls_endpoint_aliases":{"e":"b"}}`, got: "a"},
		"alias null":        {body: `{` + own + `,"e":"a","mtls_endpoint_aliases":{"e":null}}`, aliased: true, got: "a"},
		"aliases null":      {body: `{` + own + `,"e":"a","mtls_endpoint_aliases":null}`, aliased: true, got: "a"},
		"absent":            {body: `{` + own + `}`},
		"null":              {body: `{` + own + `,"e":null}`},
		"marked":            {body: "\ufeff{" + own + `,"e":"a"}`, got: "a"},
		"others twice":      {body: `{` + own + `,"e":"a","x":1,"x":"` + "\xe9" + `"}`, got: "a"},
		"page":              {body: `<html>`, want: "strict JSON", none: true},
		"nothing":           {body: ``, want: "strict JSON", none: true},
		"array":             {body: `[]`, want: "strict JSON", none: true},
		"half":              {body: `{` + own + `,"e":"a`, want: "strict JSON", none: true},
		"no issuer":         {body: `{"e":"a"}`, want: "of another issuer", none: true},
		"issuer null":       {body: `{"issuer":null,"e":"a"}`, want: "of another issuer", none: true},
		"another's":         {body: `{"issuer":"https://evil.example.com","e":"a"}`, want: `"https://evil.example.com"`},
		"issuer twice":      {body: `{` + own + `,` + own + `,"e":"a"}`, want: "there twice"},
		"issuer in upper":   {body: `{` + own + `,"Issuer":"x","e":"a"}`, want: "case only"},
		"member twice":      {body: `{` + own + `,"e":"a","e":"a"}`, want: "there twice"},
		"member no string":  {body: `{` + own + `,"e":1}`, want: "wrong JSON type"},
		"aliases no object": {body: `{` + own + `,"e":"a","mtls_endpoint_aliases":["b"]}`, aliased: true, want: "strict JSON"},
		"alias twice": {body: `{` + own + `,"e":"a","mtls_endpoint_aliases":{"e":"b","e":"c"}}`, aliased: true,
			want: "there twice"},
		"issuer no string":       {body: `{"issuer":5,"e":"u"}`, want: "wrong JSON type", none: true},
		"issuer an object":       {body: `{"issuer":{},"e":"u"}`, want: "wrong JSON type", none: true},
		"member no string, half": {body: `{` + own + `,"e":1,`, want: "wrong JSON type"},
	} {
		got, err := discovery.Member([]byte(test.body), issuer, "e", test.aliased)
		if got != test.got || (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) ||
			errors.Is(err, discovery.ErrNoMetadata) != test.none {
			t.Errorf("%s: got %q, %v, no metadata: %t, want %q, %q, %t", name, got, err, errors.Is(err, discovery.ErrNoMetadata),
				test.got, test.want, test.none)
		}
	}
}

func TestShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		for _, test := range []struct {
			last bool
			want time.Duration
		}{{false, 4 * time.Second}, {false, 2 * time.Second}, {true, 2 * time.Second}} {
			share, end := discovery.Share(ctx, test.last)
			start := time.Now()
			<-share.Done()
			if got := time.Since(start); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
			end()
		}
		share, end := discovery.Share(t.Context(), false)
		if _, ok := share.Deadline(); ok {
			t.Error("got a deadline where there is none to share")
		}
		end()
	})
}
