package refusals_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// wayIn is a handler that lets the lab's owner pass.
type wayIn struct {
	name string
	wrap func(http.Handler) http.Handler
}

func waysIn(l *lab.Lab) []wayIn {
	g := l.Guard()
	thumbprint := clientcert.Thumbprint(l.Owner.Thumbprint())
	return []wayIn{
		{"Authenticate", g.Authenticate},
		{"Confirm", g.Confirm},
		{"Authorize", g.Authorize(popauth.Scope("orders.read"))},
		{"ClientCertificate", popauth.ClientCertificate(popauth.TLSCertificate())},
		{"RequireCertificate", clientcert.Require(popauth.TLSCertificate(), thumbprint)},
		{"RequireCertificate without a source", clientcert.Require(nil, thumbprint)},
		{"Private", func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if _, err := g.Check(r); err != nil {
					g.Refuse(w, r, err)
					return
				}
				popauth.Private(w.Header())
				next.ServeHTTP(w, r)
			})
		}},
	}
}

// sets is a handler further out that sets headers.
func sets(lines ...string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for _, line := range lines {
				name, value, _ := strings.Cut(line, ": ")
				w.Header()[name] = append(w.Header()[name], value)
			}
			next.ServeHTTP(w, r)
		})
	}
}

// Caches are told before the handler runs, whatever handlers further out have said.
func TestAnswerIsItsCallers(t *testing.T) {
	l := lab.New(t)
	const own, vary = "Cache-Control: private", "Vary: Authorization, DPoP"
	for _, tt := range []struct {
		name        string
		outer, want []string
	}{
		{"nothing", nil, []string{own, vary}},
		{"a lifetime", []string{"Cache-Control: max-age=60"}, []string{own, vary}},
		{"public", []string{"Cache-Control: public, max-age=31536000, immutable"}, []string{own, vary}},
		{"two lines", []string{"Cache-Control: private", "Cache-Control: s-maxage=60"}, []string{own, vary}},
		{"another spelling", []string{"cache-control: public, max-age=60", "expires: Fri, 01 Jan 2100 00:00:00 GMT"}, []string{own, vary}},
		{"private for a field alone", []string{`Cache-Control: private="Set-Cookie", max-age=60`}, []string{own, vary}},
		{"no-store", []string{"Cache-Control: no-cache, No-Store, must-revalidate"},
			[]string{"Cache-Control: no-cache, No-Store, must-revalidate", vary}},
		{"private and more", []string{"Cache-Control: no-cache,private"}, []string{"Cache-Control: no-cache,private", vary}},
		{"no-store and public", []string{"Cache-Control: no-store, public"}, []string{"Cache-Control: no-store", vary}},
		{"no-store, unless understood", []string{"Cache-Control: must-understand, no-store, max-age=60"},
			[]string{"Cache-Control: no-store", vary}},
		{"Expires", []string{"Expires: Fri, 01 Jan 2100 00:00:00 GMT"}, []string{own, vary}},
		{"for a proxy alone", []string{"X-Accel-Expires: 60", "Surrogate-Control: max-age=60", "Edge-Control: max-age=60"},
			[]string{own, vary}},
		{"targeted", []string{"CDN-Cache-Control: max-age=60", "Cloudflare-CDN-Cache-Control: max-age=60"}, []string{own, vary}},
		{"Vary", []string{"Vary: Accept-Encoding", "Vary: Origin"}, []string{own, "Vary: Accept-Encoding", "Vary: Origin", vary}},
		{"other headers", []string{"X-Frame-Options: DENY"}, []string{own, vary, "X-Frame-Options: DENY"}},
	} {
		for _, way := range waysIn(l) {
			var seen []string
			h := sets(tt.outer...)(way.wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { seen = lines(w.Header()) })))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, l.Ask())
			if !slices.Equal(seen, tt.want) {
				t.Errorf("%s, %s outside: got %d, the handler saw %q, want %q", way.name, tt.name, w.Code, seen, tt.want)
			}
		}
	}
}

func lines(h http.Header) []string {
	var all []string
	for name, values := range h {
		for _, v := range values {
			all = append(all, name+": "+v)
		}
	}
	slices.SortStableFunc(all, func(a, b string) int {
		a, _, _ = strings.Cut(a, ":")
		b, _, _ = strings.Cut(b, ":")
		return strings.Compare(a, b)
	})
	return all
}

// A stage says it again, since what stands between two stages is outside of the second; once is enough for Vary.
func TestAnswerIsItsCallersInside(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	want := []string{"Cache-Control: private", "Vary: Authorization, DPoP"}
	thumbprint := clientcert.Thumbprint(l.Owner.Thumbprint())
	inPlace := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for _, values := range w.Header() {
				values[0] = "public"
			}
			delete(w.Header(), "Vary")
			next.ServeHTTP(w, r)
		})
	}
	for name, between := range map[string]func(http.Handler) http.Handler{
		"sets": sets("Cache-Control: public"), "writes in place": inPlace, "PublicAnswers": popauth.PublicAnswers(time.Minute),
	} {
		for _, stages := range [][2]func(http.Handler) http.Handler{
			{g.Authenticate, g.Confirm},
			{g.Authenticate, g.Authorize(popauth.Scope("orders.read"))},
			{popauth.ClientCertificate(popauth.TLSCertificate()), clientcert.Require(nil, thumbprint)},
			{popauth.ClientCertificate(popauth.TLSCertificate()), g.Confirm},
		} {
			if got := lines(lab.Send(lab.Chain(stages[0], between, stages[1]), l.Ask()).Header); !slices.Equal(got, want) {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
	}
}

// A handler can say something else, and what it does to its header no other answer shows.
func TestAnswerReplaced(t *testing.T) {
	l := lab.New(t)
	for _, way := range waysIn(l) {
		answer := func(h http.HandlerFunc) []string {
			w := httptest.NewRecorder()
			way.wrap(h).ServeHTTP(w, l.Ask())
			return lines(w.Header())
		}
		got := answer(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cache-Control", "private, max-age=60")
			w.Header().Add("Vary", "Accept")
		})
		if want := []string{"Cache-Control: private, max-age=60", "Vary: Authorization, DPoP", "Vary: Accept"}; !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", way.name, got, want)
		}
		answer(func(w http.ResponseWriter, _ *http.Request) {
			for name, values := range w.Header() {
				_ = append(values[:1:cap(values)], "x")
				_ = append(w.Header()[name][:0], "x")
				clear(values)
			}
		})
		got = answer(func(http.ResponseWriter, *http.Request) {})
		if want := []string{"Cache-Control: private", "Vary: Authorization, DPoP"}; !slices.Equal(got, want) {
			t.Errorf("%s, after a handler that wrote over its header: got %q, want %q", way.name, got, want)
		}
	}
	// What is shared by a handler further out stays as it is, too.
	shared := append(make([]string, 0, 4), "Accept-Encoding")
	outer := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Vary"] = shared
			next.ServeHTTP(w, r)
		})
	}
	lab.Send(lab.Chain(outer, l.Guard().Confirm), l.Ask()).Passed(t)
	if got := shared[:2]; got[1] != "" {
		t.Errorf("got %q in the memory of another", got)
	}
}

// What a route says to be everybody's, a shared cache may keep.
func TestPublicAnswers(t *testing.T) {
	l := lab.New(t)
	public := popauth.PublicAnswers(90 * time.Second)
	for _, way := range waysIn(l) {
		o := lab.Send(lab.Chain(sets("Vary: Accept-Encoding"), way.wrap, public), l.Ask())
		o.Passed(t)
		if got, want := lines(o.Header), []string{"Cache-Control: public, max-age=90", "Vary: Accept-Encoding"}; !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", way.name, got, want)
		}
		o = lab.Send(lab.Chain(way.wrap, public), l.Ask())
		if got, want := lines(o.Header), []string{"Cache-Control: public, max-age=90"}; !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", way.name, got, want)
		}
		if o = lab.Send(lab.Chain(public, way.wrap), l.Ask()); o.Header.Get("Cache-Control") != "private" { // outside it means nothing
			t.Errorf("outside of %s: got %q, want private", way.name, lines(o.Header))
		}
	}
	for name, f := range map[string]func(){
		"negative": func() { popauth.PublicAnswers(-1) },
		"nil":      func() { popauth.PublicAnswers(0)(nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: got no panic", name)
				}
			}()
			f()
		}()
	}
}

// A nonce is one client's: an answer that has one is not for everybody.
func TestPublicAnswersNonce(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{Nonces: lab.Nonces(lab.NonceSecret(1))})
	nonce := lab.Given(t, a.RefuseProof(t, a.Request(), popauth.ErrNonceRequired).Header())
	a.Clock.Advance(4 * time.Minute)
	w := httptest.NewRecorder()
	a.Guard.Confirm(popauth.PublicAnswers(time.Hour)(&popauthtest.Spy{})).ServeHTTP(w, a.Request(lab.Fields{"nonce": nonce}))
	if lab.Given(t, w.Header()); w.Code != 200 {
		t.Errorf("got %d, want 200", w.Code)
	}
}

// A client that stays busy gets the next nonce with a refusal, too.
func TestNonceOnForbidden(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{Nonces: lab.Nonces(lab.NonceSecret(1))})
	nonce := lab.Given(t, a.RefuseProof(t, a.Request(), popauth.ErrNonceRequired).Header())
	a.Clock.Advance(4 * time.Minute)
	for name, tt := range map[string]struct {
		wrap   func(http.Handler) http.Handler
		status int
	}{
		"Authorize":                    {a.Guard.Authorize(popauth.Scope("admin")), 403},
		"step-up":                      {a.Guard.Authorize(popauth.ACR("gold")), 401},
		"Authenticate, then Authorize": {lab.Chain(a.Guard.Authenticate, a.Guard.Authorize(popauth.Scope("admin"))), 403},
		"Check and Refuse": {func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, err := a.Guard.Check(r, popauth.Scope("admin"))
				a.Guard.Refuse(w, r, err)
			})
		}, 403},
	} {
		o := lab.Send(tt.wrap, a.Request(lab.Fields{"nonce": nonce}))
		lab.Given(t, o.Header)
		if o.Status != tt.status || o.Ran {
			t.Errorf("%s: got %d, ran %t, want %d", name, o.Status, o.Ran, tt.status)
		}
	}
}

// A writer with a header map of its own, between a stage and middleware outside, keeps the stage from removing what that
// middleware has said. What the stage says itself arrives. Inside of the stage, and around both, nothing is lost.
func TestAnswerThroughAnotherHeader(t *testing.T) {
	l := lab.New(t)
	timeout := func(next http.Handler) http.Handler { return http.TimeoutHandler(next, time.Minute, "late") }
	outside := sets("Cache-Control: public, max-age=60", "X-Accel-Expires: 60", "Vary: Accept-Encoding")
	nobody := func() *http.Request { return httptest.NewRequest("GET", "/orders", nil) }
	stage := l.Guard().Authenticate
	clean := []string{"Cache-Control: private", "Vary: Accept-Encoding", "Vary: Authorization, DPoP"}
	left := []string{"Cache-Control: private", "Vary: Authorization, DPoP", "X-Accel-Expires: 60"}
	refused := []string{"Cache-Control: no-store", "Vary: Accept-Encoding"}
	for _, tt := range []struct {
		name    string
		wrap    func(http.Handler) http.Handler
		request func() *http.Request
		status  int
		want    []string
	}{
		{"between", lab.Chain(outside, timeout, stage), l.Ask, 200, left},
		{"between, refused", lab.Chain(outside, timeout, stage), nobody, 401, append(slices.Clone(refused), left[2])},
		{"inside", lab.Chain(outside, stage, timeout), l.Ask, 200, clean},
		{"around both", lab.Chain(timeout, outside, stage), l.Ask, 200, clean},
		{"around both, refused", lab.Chain(timeout, outside, stage), nobody, 401, refused},
	} {
		o := lab.Send(tt.wrap, tt.request())
		got := slices.DeleteFunc(lines(o.Header), func(line string) bool { return strings.HasPrefix(line, "Www-") })
		if o.Status != tt.status || o.Ran != (tt.status == 200) || !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %d %q, want %d %q", tt.name, o.Status, got, tt.status, tt.want)
		}
	}
}
