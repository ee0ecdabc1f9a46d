package main

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// rule returns the expression of an alert.
func rule(t *testing.T, alert string) string {
	t.Helper()
	text, err := os.ReadFile("alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, text2, _ := strings.Cut(string(text), "- alert: "+alert+"\n")
	m := regexp.MustCompile(`(?m)^ +expr: (.*)$`).FindStringSubmatch(text2)
	if m == nil {
		t.Fatalf("no expression of %s", alert)
	}
	return m[1]
}

// watched is an API whose counters are scraped.
type watched struct {
	*testing.T
	registry *prometheus.Registry
	issuer   *popauthtest.Issuer
	owner    *popauthtest.Client
	api      http.Handler
	spy      *popauthtest.Spy
	down     bool // what Revoked asks
}

// newWatched hangs each fetch of an issuer's keys where there is a channel, until that is closed.
func newWatched(t *testing.T, hang chan struct{}) *watched {
	w := &watched{
		T: t, registry: prometheus.NewRegistry(), issuer: popauthtest.NewIssuer(t), owner: popauthtest.SelfSigned(t, "owner"),
		spy: &popauthtest.Spy{},
	}
	if hang != nil {
		keys := w.issuer.JWKS()
		w.issuer.Handle("/jwks", http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			<-hang
			_, _ = rw.Write(keys)
		}))
	}
	options := w.issuer.Options()
	keys, _ := options.Keys.(*popauth.RemoteKeys)
	m, err := newMetrics(w.registry, keys)
	if err != nil {
		t.Fatal(err)
	}
	options.Observe = m.observe
	options.Revoked = func(ctx context.Context, _ *popauth.Token) (bool, error) {
		if w.down {
			return false, http.ErrHandlerTimeout
		}
		return false, ctx.Err()
	}
	guard, err := popauth.New(options)
	if err != nil {
		t.Fatal(err)
	}
	w.api = guard.Confirm(w.spy)
	return w
}

func (w *watched) send(r *http.Request) int {
	answer := httptest.NewRecorder()
	w.api.ServeHTTP(answer, r)
	return answer.Code
}

func (w *watched) good(n int) {
	for range n {
		w.send(w.owner.Request("GET", "/", w.issuer.Token(w.owner.Bound())))
	}
}

// strangers have no credentials, and leave when they like.
func (w *watched) strangers(n int) {
	gone, leave := context.WithCancel(w.Context())
	leave()
	thief := popauthtest.NewIssuer(w)
	thief.URL = w.issuer.URL
	for range n {
		for _, token := range []string{"", "x", thief.Token(w.owner.Bound()), w.issuer.TokenWith(popauthtest.Claims{"kid": rand.Text()})} {
			w.send(w.owner.Request("GET", "/", token))
			w.send(w.owner.Request("GET", "/", token).WithContext(gone))
		}
	}
}

func (w *watched) scrape() map[string]float64 {
	w.Helper()
	answer := httptest.NewRecorder()
	promhttp.HandlerFor(w.registry, promhttp.HandlerOpts{}).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	all := map[string]float64{}
	for line := range strings.Lines(answer.Body.String()) {
		series, value, ok := strings.Cut(strings.TrimSpace(line), "} ")
		if n, err := strconv.ParseFloat(value, 64); ok && err == nil {
			all[series+"}"] = n
		}
	}
	return all
}

// fires tells whether the alert is on for what happens within five minutes, after each kind of request has been seen once.
func (w *watched) fires(before func(), happens func()) bool {
	w.Helper()
	before()
	p := &promql{TB: w, before: w.scrape()}
	happens()
	p.after = w.scrape()
	return p.fires(rule(w.T, "PopauthUnavailable"))
}

// An outage raises the alert, be it from the start or in the middle of a flood. Strangers don't, whatever they send, and
// neither does a single failure among many requests.
func TestOutageAlert(t *testing.T) {
	for _, tt := range []struct {
		name    string
		cold    bool // no request has passed yet
		happens func(*watched)
		want    bool
	}{
		{name: "all is well", happens: func(w *watched) { w.good(50) }},
		{name: "strangers", happens: func(w *watched) { w.good(5); w.strangers(200) }},
		{name: "strangers alone", happens: func(w *watched) { w.strangers(200) }},
		{name: "an outage", want: true, happens: func(w *watched) { w.down = true; w.good(50) }},
		{name: "an outage from the start", cold: true, want: true, happens: func(w *watched) { w.down = true; w.good(50) }},
		{name: "an outage in a flood", want: true, happens: func(w *watched) { w.down = true; w.good(50); w.strangers(200) }},
		{name: "half an outage", want: true, happens: func(w *watched) { w.good(50); w.down = true; w.good(50) }},
		{name: "few failures among many", happens: func(w *watched) { w.good(600); w.down = true; w.good(20) }},
		{name: "one of twenty, seldom", happens: func(w *watched) { w.good(5); w.down = true; w.good(1) }},
	} {
		w := newWatched(t, nil)
		got := w.fires(func() {
			if !tt.cold {
				w.good(1)
			}
			w.down = true
			w.good(1)
			w.down = false
			w.strangers(1)
		}, func() { tt.happens(w) })
		if got != tt.want {
			t.Errorf("%s: got %t, want %t", tt.name, got, tt.want)
		}
	}
}

// Clients that leave while the keys are on their way raise nothing, though each has waited for them.
func TestOutageAlertWhileClientsLeave(t *testing.T) {
	hang := make(chan struct{})
	w := newWatched(t, hang)
	defer close(hang)
	leaving := func() {
		for range 100 {
			ctx, leave := context.WithCancel(t.Context())
			go leave()
			if code := w.send(w.owner.Request("GET", "/", w.issuer.Token(w.owner.Bound())).WithContext(ctx)); code != 499 {
				t.Errorf("got %d, want 499", code)
			}
		}
	}
	if w.fires(leaving, leaving) {
		t.Error("clients that leave have raised the alert for an outage")
	}
	var ended float64
	for series, n := range w.scrape() {
		if strings.HasPrefix(series, "popauth_decisions_total{") && strings.Contains(series, `reason="request ended before the decision"`) {
			ended += n
		}
	}
	if ended != 200 || w.spy.Ran() > 0 {
		t.Errorf("got %v ended requests, %d that ran, want 200 and none", ended, w.spy.Ran())
	}
}
