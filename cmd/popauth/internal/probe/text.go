package probe

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// colours are those of a terminal.
var colours = map[any]string{
	Found: "\x1b[31m", Unclear: "\x1b[33m", Passed: "\x1b[32m", Skipped: "\x1b[2m", Critical: "\x1b[1;31m", High: "\x1b[31m",
	Medium: "\x1b[33m",
}

var marks = map[State]string{Found: "✗", Unclear: "?", Passed: "✓", Skipped: "-"}

// Table writes a report for people. With all, checks that have passed or were skipped have lines, too.
func (r *Report) Table(w io.Writer, all, colour bool) error {
	paint := func(what any, text string) string {
		if code := colours[what]; colour && code != "" {
			return code + text + "\x1b[0m"
		}
		return text
	}
	p := &printer{w: w}
	p.line("%s: %d requests in %.1f s", shown(r.URL), r.Requests, r.Seconds)
	topic := ""
	for _, x := range r.Results {
		if !all && (x.State == Passed || x.State == Skipped) {
			continue
		}
		if x.Topic != topic {
			topic = x.Topic
			p.line("\n%s", topic)
		}
		p.line("%s %s  %s  %s", paint(x.State, marks[x.State]), padded(x.Name, 29), paint(x.Severity, padded(x.Severity.String(), 8)),
			x.Section)
		if x.State == Skipped {
			p.line("    %s", shown(x.Detail))
		}
		if x.State != Found && x.State != Unclear {
			continue
		}
		p.line("    sent  %s", x.Title)
		p.line("    got   %s", shown(x.Detail))
		p.line("    want  %s", x.Want)
	}
	p.line("")
	for _, remark := range r.Remarks {
		p.line("note: %s", shown(remark))
	}
	p.line("%s", r.Summary())
	return p.err
}

// Summary counts what came of the checks, and the findings by severity.
func (r *Report) Summary() string {
	var by []string
	for i := range slices.Backward(severities) {
		n := 0
		for _, x := range r.Results {
			if x.State == Found && x.Severity == Severity(i) {
				n++
			}
		}
		if n > 0 {
			by = append(by, fmt.Sprintf("%d %s", n, severities[i]))
		}
	}
	text := fmt.Sprintf("%d checks: %d as it must be, %d found", len(r.Results), r.Count(Passed), r.Count(Found))
	if len(by) > 0 {
		text += " (" + strings.Join(by, ", ") + ")"
	}
	return fmt.Sprintf("%s, %d unclear, %d skipped", text, r.Count(Unclear), r.Count(Skipped))
}

// List writes all checks with section and severity.
func List(w io.Writer) error {
	p := &printer{w: w}
	topic := ""
	for _, c := range Checks() {
		if c.Topic != topic {
			topic = c.Topic
			p.line("%s", topic)
		}
		p.line("  %s  %s  %s", padded(c.Name, 29), padded(c.Severity.String(), 8), c.Section)
		p.line("      %s", c.Title)
	}
	return p.err
}

type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func padded(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
}

// shown is a text without characters that move a terminal's cursor, or the direction of writing.
func shown(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r <= 0x9f || r == 0x61c || r >= 0x200b && r <= 0x200f || r >= 0x2028 && r <= 0x202e ||
			r >= 0x2066 && r <= 0x2069 || r == 0xfeff || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
}
