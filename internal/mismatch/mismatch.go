package mismatch

import (
	"strconv"
	"strings"
	"time"
)

// maxGot is how many bytes of a sender's text are kept. More would let whoever sends garbage fill the log.
const maxGot = 128

// maxListed is how many entries of a sender's list are kept.
const maxListed = 5

// Error is the cause of a refusal where two values were compared.
type Error struct {
	What   string // was compared: a claim, a header, a member, such as aud
	Got    string // came: the sender's, in printable ASCII and cut; Absent if nothing did
	Want   string // would do: this side's own, whole
	Advice string // names what to change, where that can be told; else ""
}

// Absent is what stands in Got where nothing came.
const Absent = "absent"

// Error returns it all on one line.
func (e *Error) Error() string {
	s := e.What + " is " + e.Got + ", want " + e.Want
	if e.Advice != "" {
		s += ": " + e.Advice
	}
	return s
}

// Text is a sender's text as Got has it; Absent if it is empty.
func Text(s string) string {
	if s == "" {
		return Absent
	}
	return quoted(s)
}

func quoted(s string) string {
	if len(s) <= maxGot {
		return bounded(strconv.QuoteToASCII(s))
	}
	return bounded(strconv.QuoteToASCII(s[:maxGot])) + " and " + strconv.Itoa(len(s)-maxGot) + " bytes more"
}

// bounded cuts what escapes have made longer.
func bounded(q string) string {
	const most = 2 * maxGot
	if len(q) <= most {
		return q
	}
	return q[:most] + `"`
}

// Texts is a sender's list as Got has it; Absent if it is empty.
func Texts(list []string) string {
	if len(list) == 0 {
		return Absent
	}
	all := make([]string, 0, maxListed+1)
	for _, s := range list[:min(len(list), maxListed)] {
		all = append(all, quoted(s))
	}
	if more := len(list) - maxListed; more > 0 {
		all = append(all, strconv.Itoa(more)+" more")
	}
	return strings.Join(all, ", ")
}

// Any is a list of this side's as Want has it: one of it would do.
func Any(list []string) string { return listed(list, " or ") }

// All is a list of this side's as Want has it: all of it is needed.
func All(list []string) string { return listed(list, " and ") }

func listed(list []string, between string) string {
	all := make([]string, len(list))
	for i, s := range list {
		all[i] = strconv.QuoteToASCII(s)
	}
	return strings.Join(all, between)
}

// Own is a text of this side's as Want has it.
func Own(s string) string { return strconv.QuoteToASCII(s) }

// At is a time as Got and Want have it, in UTC, with whole seconds.
func At(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// By is how far two times are apart: to the millisecond below ten seconds, else to the second.
func By(d time.Duration) string {
	d = d.Abs()
	if d < 10*time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
