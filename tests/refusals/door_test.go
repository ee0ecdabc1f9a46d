package refusals_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/internal/lab"
)

// What belongs to no Guard is observed by the RequestLine around it, and a Guard's own refusals are not observed twice.
func TestDoorsAreObserved(t *testing.T) {
	l := lab.New(t)
	var seen []popauth.Observation
	observe := func(_ context.Context, o popauth.Observation) { seen = append(seen, o) }
	line := popauth.RequestLine{Observe: observe}.Handler
	dots := l.Owner.Request("GET", "/a/../b", "")
	dots.RequestURI = "/a/../b"
	plain := httptest.NewRequest(http.MethodGet, "/orders", http.NoBody)
	g := l.Guard(func(o *popauth.Options) { o.Observe = observe })
	for _, tt := range []struct {
		name  string
		wrap  func(http.Handler) http.Handler
		r     *http.Request
		stage popauth.Stage
		want  popauth.Reason
	}{
		{name: "request line", wrap: line, r: dots, stage: popauth.StageDoor, want: popauth.ErrRequestLine},
		{name: "Require", wrap: lab.Chain(line, clientcert.Require(nil)), r: plain,
			stage: popauth.StageDoor, want: popauth.ErrCertificateRequired},
		{name: "a Guard", wrap: lab.Chain(line, g.Authenticate), r: plain,
			stage: popauth.StageAuthenticate, want: popauth.ErrCredentialsMissing},
	} {
		seen = nil
		out := lab.Send(tt.wrap, tt.r)
		if out.Ran || len(seen) != 1 || seen[0].Stage != tt.stage || seen[0].Reason != tt.want || seen[0].Status != out.Status {
			t.Errorf("%s: got %d and %+v, want one of %s, %q", tt.name, out.Status, seen, tt.stage, tt.want)
		}
	}
	seen = nil
	if out := lab.Send(line, plain); !out.Ran || len(seen) > 0 {
		t.Errorf("passed: got %+v", seen)
	}
}
