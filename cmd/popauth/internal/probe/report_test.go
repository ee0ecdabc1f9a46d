package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/joshdk/go-junit"
	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"
)

// sample has a result of each state.
func sample() *Report {
	r := &Report{URL: "https://api.example.com/orders", Began: time.Unix(1790000000, 0).UTC(), Seconds: 1.5, Requests: 9,
		Remarks: []string{"a"}}
	for i, c := range Checks() {
		r.Results = append(r.Results, Result{c, []State{Passed, Found, Skipped, Unclear}[i%4],
			"<answered> & \"quoted\" \x1b[31m\u202e\u2066"})
	}
	return r
}

// The published schema takes the report, and a library of others reads from it what was written.
func TestSARIF(t *testing.T) {
	r := sample()
	var b bytes.Buffer
	if err := r.SARIF(&b); err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(b.Bytes()))
	d.DisallowUnknownFields()
	if err := d.Decode(&sarif.Report{}); err != nil {
		t.Fatal(err)
	}
	read, err := readSARIF(b.String())
	if err != nil {
		t.Fatal(err)
	}
	run := read.Runs[0]
	if got, want := len(run.Results), r.Count(Found)+r.Count(Unclear); got != want {
		t.Errorf("got %d results, want %d", got, want)
	}
	for _, one := range run.Results {
		rule := run.Tool.Driver.Rules[one.RuleIndex]
		if *rule.ID != *one.RuleID {
			t.Errorf("result of %s: got rule %s by index", *one.RuleID, *rule.ID)
		}
		if *one.Locations[0].PhysicalLocation.ArtifactLocation.URI != r.URL {
			t.Errorf("%s: got no location", *one.RuleID)
		}
	}
	// The schema is asked: it takes neither another version nor another level.
	for right, wrong := range map[string]string{`"version": "2.1.0"`: `"version": "3"`, `"level": "error"`: `"level": "worst"`} {
		if _, err := readSARIF(strings.Replace(b.String(), right, wrong, 1)); err == nil {
			t.Errorf("the schema takes %s", wrong)
		}
	}
}

// readSARIF validates what the library has read. What the library adds by itself would not be valid.
func readSARIF(text string) (*sarif.Report, error) {
	read, err := sarif.FromString(text)
	if err != nil {
		return nil, err
	}
	for _, run := range read.Runs {
		run.NewlineSequences, run.Language, run.Tool.Driver.Language = []string{"\n"}, "en", "en"
	}
	return read, read.Validate()
}

// junitElements are what Jenkins' schema junit-10.xsd has, as far as a report uses it: attributes and children, * what must be there.
var junitElements = map[string]struct{ attributes, children string }{
	"testsuites": {"name time tests failures errors", "testsuite"},
	"testsuite": {"name* tests* failures* errors* group time skipped timestamp hostname id package file log url",
		"testsuite properties testcase system-out system-err"},
	"testcase": {"name* time classname group", "skipped error failure system-out system-err"},
	"failure":  {"type message", ""}, "error": {"type message", ""}, "skipped": {"type message", ""},
}

func TestJUnit(t *testing.T) {
	r := sample()
	var b bytes.Buffer
	if err := r.JUnit(&b, Low); err != nil {
		t.Fatal(err)
	}
	suites, err := junit.Ingest(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	n := junit.Totals{}
	for _, s := range suites {
		n.Tests, n.Failed, n.Error, n.Skipped = n.Tests+s.Totals.Tests, n.Failed+s.Totals.Failed, n.Error+s.Totals.Error,
			n.Skipped+s.Totals.Skipped
	}
	low := 0
	for _, x := range r.Results {
		if x.State == Found && x.Severity >= Low {
			low++
		}
	}
	if n.Tests != len(r.Results) || n.Failed != low || n.Failed+n.Error+n.Skipped+r.Count(Passed) != n.Tests {
		t.Errorf("got %+v, want %d tests, %d failed", n, len(r.Results), low)
	}
	d := xml.NewDecoder(&b)
	var open []string
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			want, ok := junitElements[e.Name.Local]
			if !ok || len(open) > 0 && !slices.Contains(strings.Fields(junitElements[open[len(open)-1]].children), e.Name.Local) {
				t.Fatalf("element %s in %q", e.Name.Local, open)
			}
			for _, a := range e.Attr {
				if !slices.Contains(strings.Fields(strings.ReplaceAll(want.attributes, "*", "")), a.Name.Local) {
					t.Fatalf("%s has attribute %s", e.Name.Local, a.Name.Local)
				}
			}
			for _, name := range strings.Fields(want.attributes) {
				if must, ok := strings.CutSuffix(name, "*"); ok &&
					!slices.ContainsFunc(e.Attr, func(a xml.Attr) bool { return a.Name.Local == must && a.Value != "" }) {
					t.Fatalf("%s has no %s", e.Name.Local, must)
				}
			}
			open = append(open, e.Name.Local)
		case xml.EndElement:
			open = open[:len(open)-1]
		}
	}
}

func TestTable(t *testing.T) {
	var plain, coloured bytes.Buffer
	if err := sample().Table(&plain, true, false); err != nil {
		t.Fatal(err)
	}
	if err := sample().Table(&coloured, false, true); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(plain.String(), "\x1b\u202e\u2066") {
		t.Error("what an API says moves the cursor")
	}
	if !strings.Contains(coloured.String(), "\x1b[31m✗") || strings.Contains(coloured.String(), "✓") {
		t.Errorf("got %s, want findings in red, and nothing that has passed", coloured.String())
	}
	if n := strings.Count(plain.String(), "RFC ") + strings.Count(plain.String(), "Fetch standard"); n < len(Checks()) {
		t.Errorf("got %d sections, want one for each of %d checks", n, len(Checks()))
	}
}

// Names are unique, and every check says what is sent, what is wanted and by which section.
func TestChecks(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Checks() {
		if seen[c.Name] || c.Name == "" || c.Title == "" || c.Want == "" || c.run == nil ||
			!strings.HasPrefix(c.Section, "RFC ") && !strings.HasPrefix(c.Section, "Fetch standard") {
			t.Errorf("%q: twice, or with something missing: %+v", c.Name, c)
		}
		seen[c.Name] = true
		if len(c.Name) > 29 {
			t.Errorf("%s: longer than its column", c.Name)
		}
	}
	if len(seen) < 90 {
		t.Errorf("got %d checks, want 90", len(seen))
	}
	for _, tt := range []struct {
		patterns []string
		has, not string
	}{
		{nil, "no-token", ""}, {[]string{"proof-*"}, "proof-missing", "no-token"}, {[]string{"!path-*"}, "no-token", "path-end"},
		{[]string{"proof-*", "!proof-typ"}, "proof-missing", "proof-typ"},
	} {
		list, err := choose(tt.patterns)
		in := func(name string) bool { return slices.ContainsFunc(list, func(c Check) bool { return c.Name == name }) }
		if err != nil || !in(tt.has) || in(tt.not) {
			t.Errorf("%q: got %d checks, %v", tt.patterns, len(list), err)
		}
	}
	if _, err := choose([]string{"no-such-check"}); err == nil {
		t.Error("a name that no check has: got no error")
	}
}

// No report has the token, a proof or a key, whatever the API says.
func TestNoSecrets(t *testing.T) {
	for _, by := range bearers {
		l := newLab(t)
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			if r.Header.Get("Authorization") != "" && (r.Header.Get("DPoP") != "" || len(r.TLS.PeerCertificates) > 0) &&
				r.URL.Path == "/orders" {
				h.Set("Cache-Control", "public, "+r.Header.Get("Authorization"))
				listOrders(w, r)
				return
			}
			h.Add("WWW-Authenticate", `Bearer error="`+r.Header.Get("Authorization")+`" `+r.Header.Get("DPoP"))
			h.Set("DPoP-Nonce", "n")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, "Traceback (most recent call last) "+r.Header.Get("Authorization"))
		})
		server := l.serve(h)
		o := l.options(by, server.URL+"/orders", l.ca.Pool())
		r, err := Run(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		if r.Count(Found) < 10 {
			t.Errorf("got %s", r.Summary())
		}
		for name, write := range map[string]func(io.Writer) error{
			"JSON": r.JSON, "SARIF": r.SARIF, "JUnit": func(w io.Writer) error { return r.JUnit(w, Info) },
			"table": func(w io.Writer) error { return r.Table(w, true, false) },
		} {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				t.Fatal(err)
			}
			for _, secret := range []string{o.Token, strings.Split(o.Token, ".")[2], "eyJ"} {
				if strings.Contains(b.String(), secret) {
					t.Errorf("%s %s: has %.20s…", by, name, secret)
				}
			}
		}
	}
}
