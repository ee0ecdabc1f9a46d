package report_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/bench"
	"github.com/seed-171ab058/popauth/bench/load"
	"github.com/seed-171ab058/popauth/bench/report"
)

func TestMain(m *testing.M) {
	load.Child()
	os.Exit(m.Run())
}

// Everything is measured, for a moment: a wrong answer is an error of Measure, and too many allocations are one of
// Excess. Nothing here depends on how long anything takes.
func TestMeasure(t *testing.T) {
	if raceDetector {
		t.Skip("measures; .ci/run does it without the race detector as well")
	}
	r, err := report.Measure(t.Context(), report.Options{Cycles: 2, Short: true, Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Excess(); err != nil {
		t.Error(err)
	}
	for _, g := range r.Goals() {
		if len(g.Have) != len(g.Must) || len(g.Have) != len(g.Stretch) {
			t.Errorf("%s: %d figures for %d goals", g.Name, len(g.Have), len(g.Must))
		}
	}
	if r.Flood.Fetches > 1 {
		t.Errorf("fetches in a flood of one interval: got %d, want 1 at most", r.Flood.Fetches)
	}
	testFiles(t, r)
}

// The document names every side, the chart is well-formed, and both can be made again from what was saved.
func testFiles(t *testing.T, r *report.Results) {
	var document, chart, again bytes.Buffer
	if err := errors.Join(r.Document(&document), r.Chart(&chart)); err != nil {
		t.Fatal(err)
	}
	modules, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range append(bench.TokenSides(), bench.DPoPSides()...) {
		if !strings.Contains(document.String(), "| "+s.Name+" |") {
			t.Errorf("%s is not in the document", s.Name)
		}
	}
	for _, s := range bench.TokenSides() {
		if !bytes.Contains(modules, []byte("\t"+s.Module)) {
			t.Errorf("%s: %s is not required", s.Name, s.Module)
		}
		if !strings.Contains(chart.String(), ">"+s.Name+"<") {
			t.Errorf("%s is not in the chart", s.Name)
		}
	}
	for _, bad := range []string{"NaN", "Inf", "<no value>", "%!"} {
		if strings.Contains(document.String(), bad) || strings.Contains(chart.String(), bad) {
			t.Errorf("%s in what is written", bad)
		}
	}
	decoder := xml.NewDecoder(&chart)
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("chart: %v", err)
		}
	}
	name := filepath.Join(t.TempDir(), "results.json")
	if err := r.Write(name); err != nil {
		t.Fatal(err)
	}
	saved, err := report.Read(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := saved.Document(&again); err != nil || !reflect.DeepEqual(again.Bytes(), document.Bytes()) {
		t.Errorf("the document of what was saved is another: %v", err)
	}
}
