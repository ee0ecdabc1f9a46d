//go:build unix

package soak

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Report is what a run has shown.
type Report struct {
	Options  Options
	Began    time.Time
	Lasted   time.Duration
	recorder *recorder
	health   [][2]health // at the end of each slot
}

// Wrong is the number of wrong answers: a thief who reached a handler, an owner who was taken for another.
func (r *Report) Wrong() int { return r.recorder.wrongs }

// WrongAnswers describe the first of them.
func (r *Report) WrongAnswers() []string { return r.recorder.wrong }

// Sent is how many requests owners and thieves have sent.
func (r *Report) Sent() (owners, thieves int) {
	for _, s := range r.recorder.slots {
		for _, n := range s.good {
			owners += n
		}
	}
	for _, t := range r.recorder.thefts {
		thieves += t.sent
	}
	return owners, thieves
}

// Refused is how many requests of owners were refused while a fault was on and after it, with this status.
func (r *Report) Refused(fault string, status int) (n int) {
	for _, s := range r.recorder.slots {
		for key, p := range s.refused {
			if s.fault.name == fault && key.status == status {
				n += p.n
			}
		}
	}
	return n
}

// Unexpected lists the refusals of owners that no fault explains, one line for each kind.
func (r *Report) Unexpected() []string {
	var all []string
	for _, s := range r.recorder.slots {
		for _, row := range s.rows() {
			if !row.expected {
				all = append(all, fmt.Sprintf("%s: %d × %s", s.fault.name, row.n, row.what))
			}
		}
	}
	return all
}

// Stable tells whether no process holds more at the end than at the start, and what does.
func (r *Report) Stable() (grown []string) {
	for n, start := range r.starts() {
		for _, what := range r.health[len(r.health)-1][n].grown(start) {
			grown = append(grown, instanceName(n)+": "+what)
		}
	}
	return grown
}

func instanceName(n int) string { return string(rune('a' + n)) }

// starts are how each process was in its first slot; that of an instance that was restarted is a later one.
func (r *Report) starts() (all [2]health) {
	last := r.health[len(r.health)-1]
	for n := range all {
		for _, h := range r.health {
			if h[n].since.Equal(last[n].since) {
				all[n] = h[n]
				break
			}
		}
	}
	return all
}

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
		t := told{key.status, key.reason, slices.ContainsFunc(s.fault.expected, func(e expectation) bool { return e.covers(key, after) })}
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

// Write writes the report as Markdown.
func (r *Report) Write(w io.Writer) error {
	var b strings.Builder
	owners, thieves := r.Sent()
	fmt.Fprintf(&b, "%s, Linux and Go as in `%s/%s %s`, %d processors: %s, a fault every %s, %d requests a second.\n\n",
		r.Began.UTC().Format(time.DateOnly), runtime.GOOS, runtime.GOARCH, runtime.Version(), runtime.NumCPU(),
		r.Lasted.Round(time.Second), r.Options.Every.Round(100*time.Millisecond), r.Options.Rate)
	fmt.Fprintf(&b, "**%d wrong answers** to %s requests of owners and %s of thieves.\n\n", r.Wrong(), count(owners), count(thieves))
	for _, line := range r.WrongAnswers() {
		fmt.Fprintf(&b, "- %s\n", line)
	}
	r.writeFaults(&b)
	r.writeThieves(&b)
	r.writeHealth(&b)
	r.writeVerdict(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) writeFaults(b *strings.Builder) {
	b.WriteString("## Owners\n\nSeconds count from the beginning of the fault. Refused are those that began then or in the quiet after it.\n\n" +
		"| fault | lasted | requests | p99 | refused | what they were told | first – last, s | after its end, s | as expected |\n" +
		"|---|---:|---:|---:|---:|---|---:|---:|---|\n")
	for _, s := range r.recorder.slots {
		n := 0
		for _, of := range s.good {
			n += of
		}
		name := s.fault.name
		if s.note != "" {
			name += " (" + s.note + ")"
		}
		rows := s.rows()
		if len(rows) == 0 {
			fmt.Fprintf(b, "| %s | %s | %s | %s | 0 | | | | yes: %s |\n", name, seconds(s.over.Sub(s.began)), count(n), s.p99(), s.fault.promise)
			continue
		}
		for i, row := range rows {
			verdict := "**no**"
			if row.expected {
				verdict = "yes"
			}
			if i == 0 {
				verdict += ": " + s.fault.promise
			}
			after := "–"
			if row.after > 0 {
				after = fmt.Sprintf("%.1f", row.after.Seconds())
			}
			lead := "| | | | "
			if i == 0 {
				lead = fmt.Sprintf("| %s | %s | %s | %s ", name, seconds(s.over.Sub(s.began)), count(n), s.p99())
			}
			fmt.Fprintf(b, "%s| %s | %s | %.1f – %.1f | %s | %s |\n", lead, count(row.n), row.what, row.first.Seconds(), row.last.Seconds(), after, verdict)
		}
	}
	fmt.Fprintf(b, "\nNot sent, since %d were under way: %d.\n\n", waiting, r.recorder.busy)
}

// p99 is the time that 99 of 100 owners who were answered have waited at most.
func (s *slot) p99() string {
	if len(s.times) == 0 {
		return "–"
	}
	slices.Sort(s.times)
	return fmt.Sprintf("%d ms", s.times[len(s.times)*99/100].Milliseconds())
}

func (r *Report) writeThieves(b *strings.Builder) {
	b.WriteString("## Thieves\n\n| who has | sent | 400 | 401 | 403 | 503 | others, no answer | mostly told | reached the handler |\n" +
		"|---|---:|---:|---:|---:|---:|---:|---|---:|\n")
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
		fmt.Fprintf(b, "| %s | %d | %d | %d | %d | %d | %d | %s | %s |\n", what, t.sent,
			t.statuses[400], t.statuses[401], t.statuses[403], t.statuses[503], others, t.mostly(), reached)
	}
	b.WriteString("\n")
}

// mostly is the reason that was given most often.
func (t *theft) mostly() string {
	most := ""
	for _, why := range slices.Sorted(maps.Keys(t.reasons)) {
		if most == "" || t.reasons[why] > t.reasons[most] {
			most = why
		}
	}
	return most
}

func (r *Report) writeHealth(b *strings.Builder) {
	b.WriteString("## What the API processes hold\n\nUnder load, after a garbage collection.\n\n" +
		"| process | | RSS, MB | heap, MB | goroutines | file descriptors |\n|---|---|---:|---:|---:|---:|\n")
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
		}{{"after " + seconds(starts[n].at.Sub(r.Began)), starts[n]}, {"most", peak}, {"after " + seconds(last[n].at.Sub(r.Began)), last[n]}} {
			fmt.Fprintf(b, "| %s | %s | %.1f | %.1f | %d | %d |\n", instanceName(n), one.name,
				float64(one.rss)/1e6, float64(one.heap)/1e6, one.goroutines, one.files)
		}
	}
	b.WriteString("\n")
}

func (r *Report) writeVerdict(b *strings.Builder) {
	if unexpected := r.Unexpected(); unexpected != nil {
		fmt.Fprintf(b, "Refusals that no fault explains: %s.\n\n", strings.Join(unexpected, "; "))
	} else {
		b.WriteString("Every refusal of an owner is one that its fault explains.\n\n")
	}
	if grown := r.Stable(); grown != nil {
		fmt.Fprintf(b, "Not stable: %s.\n", strings.Join(grown, ", "))
	} else {
		b.WriteString("All stable.\n")
	}
}

// count writes a number with commas.
func count(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Document writes docs/soak.md.
func (r *Report) Document(w io.Writer) error { return r.Write(w) }
