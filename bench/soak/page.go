//go:build unix

package soak

import (
	"cmp"
	_ "embed"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"text/template"
	"time"
)

//go:embed soak.md.tmpl
var document string

// row is one kind of refusal in a slot.
type row struct {
	what        string
	n           int
	first, last time.Duration // from the beginning of the fault
	after       time.Duration // from its end; negative if it was over before
	expected    bool
}

// rows puts owners together that were told the same.
func (s *slot) rows() []row {
	type told struct {
		status   int
		reason   string
		expected bool
	}
	all := map[told]*row{}
	kinds := map[told][]string{}
	at := map[told][]string{}
	for key, p := range s.refused {
		after := p.last.Sub(s.over)
		t := told{key.status, key.reason, slices.ContainsFunc(s.fault.expected, func(e expectation) bool {
			return e.covers(key, p.last.Sub(s.began), after)
		})}
		one := all[t]
		if one == nil {
			one = &row{first: p.first.Sub(s.began), expected: t.expected}
			all[t] = one
		}
		one.n += p.n
		one.first, one.last = min(one.first, p.first.Sub(s.began)), max(one.last, p.last.Sub(s.began))
		one.after = one.last - s.over.Sub(s.began)
		kinds[t], at[t] = append(kinds[t], key.kind), append(at[t], cmp.Or(key.instance, "nginx"))
	}
	var rows []row
	for t, one := range all {
		status := fmt.Sprint(t.status)
		if t.status == 0 {
			status = "no answer"
		}
		one.what = fmt.Sprintf("%s, %s, by %s (%s)", status, t.reason, unique(at[t], " and "), unique(kinds[t], "; "))
		if t.status == 0 || t.reason == "nginx" {
			one.what = fmt.Sprintf("%s, %s (%s)", status, t.reason, unique(kinds[t], "; "))
		}
		rows = append(rows, *one)
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Or(cmp.Compare(b.n, a.n), strings.Compare(a.what, b.what)) })
	return rows
}

func unique(names []string, between string) string {
	slices.Sort(names)
	return strings.Join(slices.Compact(names), between)
}

// Document writes docs/soak.md.
func (r *Report) Document(w io.Writer) error {
	t, err := template.New("soak.md").Parse(document)
	if err != nil {
		return err
	}
	owners, thieves := r.Sent()
	chosen := max(len(r.Options.Faults), 1)
	if r.Options.Faults == nil {
		chosen = len(faults())
	}
	return t.Execute(w, map[string]any{
		"Date": r.Began.UTC().Format(time.DateOnly), "Duration": r.Lasted.Round(time.Second),
		"Platform": fmt.Sprintf("%s/%s, %s, %d processors", runtime.GOOS, runtime.GOARCH, runtime.Version(), runtime.NumCPU()),
		"Refresh":  refresh, "Rate": r.Options.Rate, "Reached": fmt.Sprintf("%.0f", float64(owners+thieves)/max(r.Lasted.Seconds(), 1)),
		"Every": r.Options.Every.Round(100 * time.Millisecond),
		"Wrong": r.Wrong(), "WrongAnswers": r.WrongAnswers(), "OwnersSent": count(owners), "ThievesSent": count(thieves),
		"Verdict": r.Verdict(), "Owners": r.ownersTable(), "Thieves": r.thievesTable(), "Health": r.healthTable(),
		"Waiting": waiting, "Busy": r.recorder.busy, "Forgotten": r.forgotten(),
		"Shorter": seconds(2 * time.Minute / time.Duration(chosen+2) * 2 / 5),
	})
}

// forgotten says how proofs fared that Redis had forgotten.
func (r *Report) forgotten() string {
	t := r.recorder.thefts[forgottenProof]
	switch {
	case t == nil:
		return "none was tried"
	case t.reached == 0:
		return fmt.Sprintf("%d were tried, and none was accepted", t.sent)
	}
	return fmt.Sprintf("%d of %d that were tried were accepted, none later than %s after its first use", t.reached, t.sent,
		seconds(t.oldest))
}

func (r *Report) ownersTable() string {
	var b strings.Builder
	for _, s := range r.recorder.slots {
		n := 0
		for _, of := range s.good {
			n += of
		}
		name := "`" + s.fault.name + "`"
		if s.note != "" {
			name += ": " + s.note
		}
		lead := fmt.Sprintf("| %s | %s | %s | %s ", name, seconds(s.over.Sub(s.began)), count(n), s.p99())
		rows := s.rows()
		if len(rows) == 0 {
			fmt.Fprintf(&b, "%s| 0 | | | | yes: %s |\n", lead, s.fault.promise)
		}
		for i, row := range rows {
			verdict := row.verdict()
			if i == 0 {
				verdict += ": " + s.fault.promise
			} else {
				lead = "| | | | "
			}
			after := "–"
			if row.after > 0 {
				after = fmt.Sprintf("%.1f", row.after.Seconds())
			}
			fmt.Fprintf(&b, "%s| %s | %s | %.1f – %.1f | %s | %s |\n", lead, count(row.n), row.what,
				max(0, row.first.Seconds()), max(0, row.last.Seconds()), after, verdict)
		}
	}
	return b.String()
}

func (r row) verdict() string {
	if r.expected {
		return "yes"
	}
	return "**no**"
}

// p99 is the time that 99 of 100 owners who were answered have waited at most.
func (s *slot) p99() string {
	if len(s.times) == 0 {
		return "–"
	}
	slices.Sort(s.times)
	return fmt.Sprintf("%d ms", s.times[len(s.times)*99/100].Milliseconds())
}

func (r *Report) thievesTable() string {
	var b strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(r.recorder.thefts)) {
		t := r.recorder.thefts[kind]
		others := t.sent
		for _, status := range []int{200, 400, 401, 403, 503} {
			others -= t.statuses[status]
		}
		reached := fmt.Sprint(t.reached)
		if t.known {
			reached += ", may"
		}
		what := kind
		if t.elsewhere > 0 {
			what += fmt.Sprintf(" (%d at the other process)", t.elsewhere)
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %d | %s | %s |\n", what, t.sent,
			t.statuses[400], t.statuses[401], t.statuses[403], t.statuses[503], others, t.mostly(), reached)
	}
	return b.String()
}

// mostly are the two reasons that were given most often.
func (t *theft) mostly() string {
	reasons := slices.SortedFunc(maps.Keys(t.reasons), func(a, b string) int {
		return cmp.Or(cmp.Compare(t.reasons[b], t.reasons[a]), strings.Compare(a, b))
	})
	for i, why := range reasons {
		reasons[i] = fmt.Sprintf("%s (%d)", why, t.reasons[why])
	}
	return strings.Join(reasons[:min(2, len(reasons))], ", ")
}

func (r *Report) healthTable() string {
	var b strings.Builder
	starts, last := r.starts(), r.health[len(r.health)-1]
	for n := range starts {
		var peak health
		for _, h := range r.health {
			peak.rss, peak.heap = max(peak.rss, h[n].rss), max(peak.heap, h[n].heap)
			peak.goroutines, peak.files = max(peak.goroutines, h[n].goroutines), max(peak.files, h[n].files)
		}
		for _, one := range []struct {
			name string
			health
		}{{"after " + seconds(starts[n].at.Sub(r.Began)), starts[n]}, {"most", peak},
			{"after " + seconds(last[n].at.Sub(r.Began)), last[n]}} {
			fmt.Fprintf(&b, "| %s | %s | %.1f | %.1f | %d | %d |\n", instanceName(n), one.name,
				float64(one.rss)/1e6, float64(one.heap)/1e6, one.goroutines, one.files)
		}
	}
	return b.String()
}

// Verdict says whether everything is explained, and stable.
func (r *Report) Verdict() string {
	said := "Every refusal of an owner is one that its fault explains. "
	if unexpected := r.Unexpected(); unexpected != nil {
		said = "Refusals that no fault explains: " + strings.Join(unexpected, "; ") + ". "
	}
	if grown := r.Grown(); grown != nil {
		return said + "Not stable: " + strings.Join(grown, ", ") + "."
	}
	return said + "Memory, goroutines and file descriptors: all stable."
}

// count writes a number with commas.
func count(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
