//go:build unix

package soak_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/bench/soak"
	"github.com/seed-171ab058/popauth/internal/counterpart"
)

func TestMain(m *testing.M) {
	soak.Child()
	os.Exit(m.Run())
}

// One fault, in seconds: while Redis stands still proofs are refused, no thief reaches a handler, and no owner is taken for
// another.
func TestRun(t *testing.T) {
	if _, _, err := soak.Programs(); err != nil {
		counterpart.Missing(t, err)
	}
	const fault = "Redis stands still (SIGSTOP)"
	r, err := soak.Run(t.Context(), soak.Options{
		For: 9 * time.Second, Every: 3 * time.Second, Rate: 100, Faults: []string{fault}, Log: t.Output(),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range r.WrongAnswers() {
		t.Error(wrong)
	}
	if r.Wrong() != 0 {
		t.Errorf("wrong answers: got %d, want 0", r.Wrong())
	}
	if owners, thieves := r.Sent(); owners < 100 || thieves < 50 {
		t.Errorf("requests: got %d of owners and %d of thieves, want 100 and 50 at least", owners, thieves)
	}
	if r.Refused(fault, 503) == 0 {
		t.Error("no proof was refused while Redis stood still")
	}
	// A busy machine can make requests late, which is no fault of theirs.
	t.Log("not explained:", r.Unexpected(), "grown:", r.Grown())

	var page bytes.Buffer
	if err := r.Document(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"**0 wrong answers** to ", "| `" + fault + "` |", " requests a second were due, and ", "| expired | ",
		"| a | most | "} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, bad := range []string{"NaN", "Inf", "<no value>", "%!"} {
		if strings.Contains(page.String(), bad) {
			t.Errorf("the page has %q", bad)
		}
	}
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]soak.Options{
		"too short":     {For: 2 * time.Second},
		"unknown fault": {Faults: []string{"sunshine"}},
		"negative rate": {Rate: -1},
	} {
		if _, err := soak.Run(t.Context(), o); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

// A run that is ended starts nothing anew, and says so.
func TestEnded(t *testing.T) {
	if _, _, err := soak.Programs(); err != nil {
		counterpart.Missing(t, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := soak.Run(ctx, soak.Options{For: time.Minute}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got error %v, want that of the context", err)
	}
}
