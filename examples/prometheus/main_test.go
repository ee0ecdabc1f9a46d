package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-171ab058/popauth"
)

// names returns the series without their values.
func names(t *testing.T, s *service) []string {
	t.Helper()
	lines, err := s.scrape()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, line := range lines {
		all = append(all, line[:strings.LastIndexByte(line, ' ')])
	}
	slices.Sort(all)
	return all
}

// A flood of requests, of which none is like another, adds no series after the first round.
func TestSeries(t *testing.T) {
	s := &service{}
	defer s.close()
	if err := s.open(); err != nil {
		t.Fatal(err)
	}
	want := []string{
		fmt.Sprintf("popauth_keys_last_refresh_timestamp_seconds{issuer=%q}", s.issuer.URL),
		fmt.Sprintf("popauth_keys_ready{issuer=%q}", s.issuer.URL),
	}
	if got := names(t, s); !slices.Equal(got, want) {
		t.Errorf("before: got %q, want %q", got, want)
	}
	if err := s.call("Bearer", s.token(), "", s.owner); err != nil {
		t.Fatal(err)
	}
	flood := func(rounds int) []string {
		for range rounds {
			if err := s.hostile(); err != nil {
				t.Fatal(err)
			}
		}
		return names(t, s)
	}
	first := flood(1)
	then := flood(8)
	t.Logf("%d series after the first round, %d after 9 rounds of 10 requests", len(first), len(then))
	if !slices.Equal(first, then) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(then, "\n"), strings.Join(first, "\n"))
	}
}

func TestRun(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`reason="",scheme="Bearer",stage="authorize",status="0"} 5`,
		`reason="token bound to a certificate, none presented",scheme="Bearer",stage="authenticate",status="401"} 5`,
		`reason="scope missing",scheme="Bearer",stage="authorize",status="403"} 5`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in\n%s", want, &out)
		}
	}
}

// A refusal from outside is counted; nobody has measured it.
func TestOutside(t *testing.T) {
	keys, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{Issuer: "https://id.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	m, err := newMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.keys("https://id.example.com", keys); err != nil {
		t.Fatal(err)
	}
	m.guard("orders")(t.Context(), popauth.Observation{Stage: popauth.StageOutside, Reason: popauth.ErrPeerUntrusted, Status: 403})
	all, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, family := range all {
		got = append(got, family.GetName())
	}
	want := []string{"popauth_decisions_total", "popauth_keys_last_refresh_timestamp_seconds", "popauth_keys_ready"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Two Guards of a process, with keys of two issuers, are told apart. Without RemoteKeys nothing is said of keys: a gauge that
// is 0 for ever would page somebody.
func TestSeveralGuards(t *testing.T) {
	registry := prometheus.NewRegistry()
	m, err := newMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.keys("https://id.example.com", nil); err == nil || !strings.Contains(err.Error(), "popauth.NewRemoteKeys") {
		t.Errorf("nil keys: got %v, want an error that names what to do", err)
	}
	for _, name := range []string{"orders", "admin"} {
		m.guard(name)(t.Context(), popauth.Observation{Stage: popauth.StageAuthenticate})
	}
	count := func() map[string]int {
		all, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		series := map[string]int{}
		for _, family := range all {
			series[family.GetName()] = len(family.GetMetric())
		}
		return series
	}
	want := map[string]int{"popauth_decisions_total": 2, "popauth_decision_duration_seconds": 2}
	if got := count(); !maps.Equal(got, want) {
		t.Errorf("without keys: got %v, want %v", got, want)
	}
	for _, issuer := range []string{"https://id.example.com", "https://other.example.com"} {
		keys, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{Issuer: issuer})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.keys(issuer, keys); err != nil {
			t.Fatal(err)
		}
	}
	want["popauth_keys_ready"], want["popauth_keys_last_refresh_timestamp_seconds"] = 2, 2
	if got := count(); !maps.Equal(got, want) {
		t.Errorf("with keys: got %v, want %v", got, want)
	}
}

// What the dashboard and the alerts ask for exists: series, labels and reasons.
func TestQueries(t *testing.T) {
	s := &service{}
	defer s.close()
	if err := s.open(); err != nil {
		t.Fatal(err)
	}
	if err := s.call("Bearer", s.token(), "", s.owner); err != nil {
		t.Fatal(err)
	}
	page := strings.Join(names(t, s), "\n")
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	text, err := os.ReadFile("dashboard.json")
	if err != nil || json.Unmarshal(text, &dashboard) != nil {
		t.Fatalf("dashboard.json: %v", err)
	}
	alerts, err := os.ReadFile("alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var queries []string
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			queries = append(queries, target.Expr)
		}
	}
	for line := range strings.Lines(string(alerts)) {
		if _, expr, ok := strings.Cut(line, "expr: "); ok {
			queries = append(queries, strings.TrimSpace(expr))
		}
	}
	if len(queries) < 14 {
		t.Errorf("got %d queries", len(queries))
	}
	known := []string{"", string(popauth.ErrBindingScheme), string(popauth.ErrProofMissing), string(popauth.ErrCertificateMissing),
		string(popauth.ErrCertificateMismatch), string(popauth.ErrProofKey), string(popauth.ErrProofReplayed),
		string(popauth.ErrProofLimit),
		string(popauth.ErrUnavailable), string(popauth.ErrOverloaded),
		string(popauth.ErrCertificateMalformed), string(popauth.ErrProxySecret), string(popauth.ErrPeerUntrusted)}
	for _, q := range queries {
		for _, name := range regexp.MustCompile(`popauth_[a-z_]+`).FindAllString(q, -1) {
			if !strings.Contains("\n"+page, "\n"+name) {
				t.Errorf("no series %s for %s", name, q)
			}
		}
		for _, label := range regexp.MustCompile(`[{,]([a-z]+)!?=~?"`).FindAllStringSubmatch(q, -1) {
			if !strings.Contains(page, label[1]+`="`) {
				t.Errorf("no label %s for %s", label[1], q)
			}
		}
		for _, reasons := range regexp.MustCompile(`reason!?=~?"([^"]*)"`).FindAllStringSubmatch(q, -1) {
			for reason := range strings.SplitSeq(reasons[1], "|") {
				if !slices.Contains(known, reason) {
					t.Errorf("no reason %q for %s", reason, q)
				}
			}
		}
		if strings.Count(q, "(") != strings.Count(q, ")") || strings.Count(q, "{") != strings.Count(q, "}") {
			t.Errorf("parentheses in %s", q)
		}
	}
}
