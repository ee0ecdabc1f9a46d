package refusals_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// What a door gets as a value is logged and observed as what Refuse answers, once. Deny has no part in it.
func TestRefusalIsLoggedAndObserved(t *testing.T) {
	l := lab.New(t)
	var log bytes.Buffer
	var seen *lab.Observer
	g := l.Guard(func(o *popauth.Options) {
		seen = lab.Observed(o)
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		o.Deny = func(http.ResponseWriter, *http.Request, *popauth.Error) { t.Error("Deny was called") }
	})
	bound := "|Bearer|x5t#S256|" + l.Issuer.URL
	for _, tt := range []struct {
		name     string
		r        *http.Request
		own      error
		status   int
		reason   popauth.Reason
		observed []string
	}{
		{name: "scope", r: l.Ask(), status: 403, reason: popauth.ErrScope,
			observed: []string{"authenticate 0 " + bound, "authorize 403 scope missing" + bound}},
		{name: "thief", r: l.Thief.Request("GET", "/orders", l.Bound()), status: 401, reason: popauth.ErrCertificateMismatch,
			observed: []string{"authenticate 401 token bound to another certificate" + bound}},
		{name: "one of its own", r: l.Ask(), own: popauth.ErrSessionOwner, status: 404, reason: popauth.ErrSessionOwner,
			observed: []string{"outside 404 no session of this caller|||"}},
		{name: "no reason", r: l.Ask(), own: errors.New("closed on Sundays"), status: 403, reason: popauth.ErrForbidden,
			observed: []string{"outside 403 refused by policy|||"}},
	} {
		log.Reset()
		err := tt.own
		if err == nil {
			if _, err = g.Decide(tt.r, popauth.Scope("orders.write")); err == nil {
				t.Fatalf("%s: got no error", tt.name)
			}
		}
		no := g.Refusal(tt.r, err)
		if no.Status != tt.status || no.Reason != tt.reason {
			t.Errorf("%s: got %d %q, want %d %q", tt.name, no.Status, no.Reason, tt.status, tt.reason)
		}
		if got := seen.Take(t); !slices.Equal(got, tt.observed) {
			t.Errorf("%s: observed %q, want %q", tt.name, got, tt.observed)
		}
		if line := log.String(); strings.Count(line, "request refused") != 1 || !strings.Contains(line, string(tt.reason)) {
			t.Errorf("%s: logged %q, want one line", tt.name, line)
		}
	}
}

// No Guard, and no Refusal that somebody has made by hand, says yes or panics.
func TestRefusalOfNoGuard(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	for name, g := range map[string]*popauth.Guard{"zero": {}, "nil": nil} {
		_, err := g.Decide(r)
		if no := g.Refusal(r, err); no.Status != 500 || no.Reason != popauth.ErrUnconfigured {
			t.Errorf("the %s Guard: got %d %q, want 500 %q", name, no.Status, no.Reason, popauth.ErrUnconfigured)
		}
	}
	byHand := popauth.Refusal{Reason: popauth.ErrScope}
	if got := byHand.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("got %q, want no-store", got)
	}
	if got := string(byHand.Problem()); !strings.Contains(got, `"status":403`) {
		t.Errorf("got %s", got)
	}
}

// What a handler refuses that belongs to no Guard is in the log of the RequestLine.Handler around it.
func TestRefusedWithoutGuardIsLogged(t *testing.T) {
	l := lab.New(t)
	var log bytes.Buffer
	line := popauth.RequestLine{Logger: slog.New(slog.NewTextHandler(&log, nil))}.Handler
	broken := lab.SourceFunc(func(*http.Request) (*popauth.Certificate, error) { return nil, popauth.ErrCertificateMalformed })
	upgrade := l.Ask()
	upgrade.Method, upgrade.RequestURI = "PRI", "/"
	early := l.Ask()
	early.Header.Set("Early-Data", "1")
	for name, tt := range map[string]struct {
		wrap   func(http.Handler) http.Handler
		r      *http.Request
		status int
		reason popauth.Reason
	}{
		"ClientCertificate":      {popauth.ClientCertificate(broken), l.Ask(), 400, popauth.ErrCertificateMalformed},
		"ClientCertificate, PRI": {popauth.ClientCertificate(popauth.TLSCertificate()), upgrade, 400, popauth.ErrRequestLine},
		"RequireCertificate": {clientcert.Require(nil), httptest.NewRequest("GET", "/orders", nil), 403,
			popauth.ErrCertificateRequired},
		"RequireCertificate, policy": {clientcert.Require(nil, clientcert.Thumbprint(l.Thief.Thumbprint())), l.Ask(), 403,
			popauth.ErrForbidden},
		"RequireCertificate, source":     {clientcert.Require(broken), l.Ask(), 400, popauth.ErrCertificateMalformed},
		"RequireCertificate, early data": {clientcert.Require(nil), early, 425, popauth.ErrEarlyData},
	} {
		log.Reset()
		lab.Send(lab.Chain(line, tt.wrap), tt.r).Refused(t, tt.status, "")
		if got := log.String(); strings.Count(got, "request refused") != 1 || !strings.Contains(got, fmt.Sprintf("status=%d", tt.status)) ||
			!strings.Contains(got, string(tt.reason)) {
			t.Errorf("%s: logged %q, want one line with %d and %q", name, got, tt.status, tt.reason)
		}
		log.Reset()
		lab.Send(tt.wrap, tt.r).Refused(t, tt.status, "") // nobody has a Logger
		if log.Len() > 0 {
			t.Errorf("%s: logged %q", name, log.String())
		}
	}
}

// A door by values says to everybody what a stage writes.
func TestDoorSaysWhatAStageWrites(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{Nonces: dpop.StatelessNonces{Secrets: [][]byte{make([]byte, 32)}}})
	stage := a.Guard.Authorize(popauth.Scope("orders.write"))
	writes := popauthtest.Claims{"scope": "orders.write"}
	token := a.Issuer.Token(a.Key.Bound(), writes)
	nonce := ""
	for _, tt := range []struct {
		name string
		r    func() *http.Request
		want int
	}{
		{name: "nobody", r: func() *http.Request { return httptest.NewRequest("POST", "/orders", nil) }, want: 401},
		{name: "two paths", r: func() *http.Request { return a.Key.Request("POST", "https://api.example.com/a/../orders", token) },
			want: 400},
		{name: "no nonce", r: func() *http.Request { return a.Key.Request("POST", "https://api.example.com/orders", token) }, want: 401},
		{name: "scope", r: func() *http.Request {
			return a.Key.Request("POST", "https://api.example.com/orders", a.Token, lab.Fields{"nonce": nonce})
		}, want: 403},
		{name: "owner", r: func() *http.Request {
			return a.Key.Request("POST", "https://api.example.com/orders", token, lab.Fields{"nonce": nonce})
		}, want: 200},
	} {
		w := httptest.NewRecorder()
		stage(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, tt.r())
		status, header := 200, http.Header{}
		r := tt.r()
		d, err := a.Guard.Decide(r, popauth.Scope("orders.write"))
		if err != nil {
			no := a.Guard.Refusal(r, err)
			status, header = no.Status, no.Header()
		} else {
			maps.Copy(header, d.Header)
			popauth.Private(header)
		}
		if status != w.Code || status != tt.want || !maps.EqualFunc(header, w.Header(), slices.Equal) {
			t.Errorf("%s: got %d %v, want %d %v", tt.name, status, header, w.Code, w.Header())
		}
		if status == 401 && header.Get("DPoP-Nonce") != "" {
			nonce = header.Get("DPoP-Nonce")
		}
	}
	if nonce == "" {
		t.Error("got no nonce")
	}
}
