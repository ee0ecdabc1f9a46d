package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
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
	m, err := newMetrics(w.registry)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.keys(w.issuer.URL, keys); err != nil {
		t.Fatal(err)
	}
	options.Observe = m.guard("orders")
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
	p := &promql{TB: w, before: at("a", w.scrape())}
	happens()
	p.after = at("a", w.scrape())
	got := p.fires(rule(w.T, "PopauthUnavailable"))
	if half := p.fires(rule(w.T, "PopauthInstanceUnavailable")); half && !got {
		w.Error("the alert for an instance is on, and that for all is not")
	}
	return got
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

// at gives the series of a scrape the labels by which Prometheus tells instances apart.
func at(instance string, series map[string]float64) map[string]float64 {
	all := map[string]float64{}
	for name, value := range series {
		all[strings.Replace(name, "{", fmt.Sprintf(`{job="api",instance=%q,`, instance), 1)] = value
	}
	return all
}

// One instance that refuses everybody, beside thirty healthy ones, raises the alert for instances; few failures among many
// requests don't, nor does a flood.
func TestInstanceAlert(t *testing.T) {
	for _, tt := range []struct {
		name    string
		happens func(*watched)
		want    bool
	}{
		{name: "all is well", happens: func(w *watched) { w.good(50) }},
		{name: "an outage", want: true, happens: func(w *watched) { w.down = true; w.good(50) }},
		{name: "few failures among many", happens: func(w *watched) { w.good(60); w.down = true; w.good(20) }},
		{name: "strangers", happens: func(w *watched) { w.good(5); w.strangers(200) }},
	} {
		sick, well := newWatched(t, nil), newWatched(t, nil)
		for _, w := range []*watched{sick, well} {
			w.good(1)
			w.down = true
			w.good(1)
			w.down = false
			w.strangers(1)
		}
		p := &promql{TB: t, before: at("sick", sick.scrape()), after: map[string]float64{}}
		healthy := well.scrape()
		tt.happens(sick)
		well.good(50)
		maps.Copy(p.after, at("sick", sick.scrape()))
		for i := range 30 {
			maps.Copy(p.before, at(fmt.Sprint(i), healthy))
			maps.Copy(p.after, at(fmt.Sprint(i), well.scrape()))
		}
		if got := p.fires(rule(t, "PopauthInstanceUnavailable")); got != tt.want {
			t.Errorf("%s: the alert for instances: got %t, want %t", tt.name, got, tt.want)
		}
		if p.fires(rule(t, "PopauthUnavailable")) {
			t.Errorf("%s: the alert for all is on for one of 31 instances", tt.name)
		}
	}
}

// A thief with a genuine token raises one alert without a key, and another with a key of his own. Whoever has no genuine token
// raises neither, nor the other alerts of which alerts.yaml says so.
func TestThiefAlerts(t *testing.T) {
	alerts := []string{"PopauthStolenToken", "PopauthTokenWithoutKey", "PopauthProofReplayed", "PopauthProofLimit"}
	thief, nobody := popauthtest.SelfSigned(t, "thief"), &popauthtest.Client{}
	for _, tt := range []struct {
		name    string
		happens func(*watched)
		want    string
	}{
		{name: "owner", happens: func(w *watched) { w.good(50) }},
		{name: "strangers", happens: func(w *watched) { w.strangers(200) }},
		{name: "no certificate", want: "PopauthTokenWithoutKey", happens: func(w *watched) { w.steal(nobody, 50) }},
		{name: "another certificate", want: "PopauthStolenToken", happens: func(w *watched) { w.steal(thief, 50) }},
		{name: "a client that is set up wrong, once", happens: func(w *watched) { w.steal(nobody, 1) }},
	} {
		w := newWatched(t, nil)
		w.good(1)
		w.steal(nobody, 1)
		w.steal(thief, 1)
		w.strangers(1)
		p := &promql{TB: t, before: at("a", w.scrape())}
		ran := w.spy.Ran()
		tt.happens(w)
		if got := w.spy.Ran() - ran; tt.name != "owner" && got > 0 {
			t.Errorf("%s: the handler ran %d times", tt.name, got)
		}
		p.after = at("a", w.scrape())
		for _, alert := range alerts {
			if got := p.fires(rule(t, alert)); got != (alert == tt.want) {
				t.Errorf("%s: %s: got %t, want %t", tt.name, alert, got, alert == tt.want)
			}
		}
	}
}

// steal sends the owner's token in other hands.
func (w *watched) steal(as *popauthtest.Client, n int) {
	for range n {
		w.send(as.Request("GET", "/", w.issuer.Token(w.owner.Bound())))
	}
}

// Each alert is one API's: a healthy one beside it has no part in its share.
func TestAlertsByJob(t *testing.T) {
	text, err := os.ReadFile("alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	sums := regexp.MustCompile(`\bsum\b( by \(job\b)?`).FindAllStringSubmatch(string(text), -1)
	for _, m := range sums {
		if m[1] == "" {
			t.Error("alerts.yaml: a sum that is not by (job, …)")
		}
	}
	if len(sums) < 10 {
		t.Errorf("alerts.yaml: got %d sums", len(sums))
	}
}

// An issuer may ask for as much as half of MaxAge, 24 h, which is no fault; at MaxAge it is too late.
func TestStaleAlertComesBetween(t *testing.T) {
	m := regexp.MustCompile(`> (\d+) \* 3600`).FindStringSubmatch(rule(t, "PopauthKeysStale"))
	if m == nil {
		t.Fatal("no hours in PopauthKeysStale")
	}
	if hours, _ := strconv.Atoi(m[1]); hours <= 12 || hours >= 24 {
		t.Errorf("PopauthKeysStale: got %s hours, want more than half of MaxAge, 12, and less than MaxAge, 24", m[1])
	}
}

// Each alert, and no other, has a row in docs/observability.md: how urgent it is, what it means and what to do.
func TestRunbook(t *testing.T) {
	text, err := os.ReadFile("alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/observability.md")
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, m := range regexp.MustCompile(`(?s)- alert: (\w+)\n.*?severity: (\w+) `).FindAllStringSubmatch(string(text), -1) {
		want = append(want, m[1]+" "+m[2])
	}
	row := regexp.MustCompile("(?m)^\\| `(Popauth\\w+)` \\| (\\w+) \\| .{20,} \\| .{20,} \\|$")
	for _, m := range row.FindAllStringSubmatch(string(page), -1) {
		got = append(got, m[1]+" "+m[2])
	}
	if !slices.Equal(got, want) {
		t.Errorf("docs/observability.md: got %q, want %q", got, want)
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
