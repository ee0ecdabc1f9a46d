package popauth

import (
	"cmp"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-171ab058/popauth/internal/keys"
	"github.com/seed-171ab058/popauth/internal/sampling"
	"github.com/seed-171ab058/popauth/internal/uri"
)

// refusalLog writes a line for each refusal. The zero refusalLog writes them to slog.Default.
type refusalLog struct {
	logger  *slog.Logger
	sampler *sampling.Sampler // nil: strays
}

// strays bounds the lines of all that has no sampler: a Guard that New has not made, and doors of the program that call Refuse. They
// all write to slog.Default, which there is once, too.
var strays = &sampling.Sampler{PerPeriod: sampling.DefaultPerPeriod}

func newRefusalLog(logger *slog.Logger, perMinute int) refusalLog {
	return refusalLog{logger, &sampling.Sampler{PerPeriod: cmp.Or(perMinute, sampling.DefaultPerPeriod)}}
}

// write writes one line, unless there have been many of that reason. What a sender chose is cut and stripped of control
// characters first: not every slog.Handler escapes.
func (l refusalLog) write(r *http.Request, e *Error) {
	logger := l.logger
	if logger == nil {
		logger = slog.Default() // as it is now: programs set it after they have made their handlers
	}
	level := levelOf(e)
	if !logger.Enabled(r.Context(), level) {
		return
	}
	code := e.Reason.Code()
	write, left := cmp.Or(l.sampler, strays).Allow(code, time.Now())
	if !write {
		return
	}
	attrs := append(make([]slog.Attr, 0, 16), slog.String("code", code), slog.String("reason", printable(string(e.Reason), maxLogged)),
		slog.Int("status", e.Status()))
	text := func(name, value string, most int) {
		if value != "" {
			attrs = append(attrs, slog.String(name, printable(value, most)))
		}
	}
	text("method", r.Method, maxMethod)
	text("path", shownPath(r), maxLogged)
	text("peer", r.RemoteAddr, maxLogged)
	attrs = append(attrs, causeAttrs(e.Err)...)
	attrs = append(attrs, e.who.attrs()...)
	if left > 0 {
		attrs = append(attrs, slog.Int("unlogged", left))
	}
	logger.LogAttrs(r.Context(), level, "request refused", attrs...)
}

// shownPath is a request's path without what may be a secret.
func shownPath(r *http.Request) string {
	if r.URL == nil {
		return ""
	}
	return uri.Shown(r.URL.EscapedPath())
}

// attrs are whose token it is, as far as it says.
func (w who) attrs() []slog.Attr {
	var all []slog.Attr
	for _, a := range []slog.Attr{slog.String("issuer", w.issuer), slog.String("client", w.client), slog.String("token_id", w.id)} {
		if s := a.Value.String(); s != "" {
			all = append(all, slog.String(a.Key, printable(s, maxLogged)))
		}
	}
	return all
}

func levelOf(e *Error) slog.Level {
	switch {
	case keys.IsEmptySet(e.Err):
		return slog.LevelError // nobody's token counts until the issuer publishes a key
	case e.Status() >= http.StatusInternalServerError:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

const (
	maxLogged = 256     // bytes of what a sender chose
	maxMethod = 32      // bytes of a method
	maxCause  = 2 << 10 // bytes of a cause's text, in which each part that a sender chose is cut already
	maxWant   = 4 << 10 // bytes of what would do, which is whole unless a program makes it of a request
	maxCauses = 4       // of those that are joined
)

// causeAttrs are the attributes that say why: of several causes the first, and the others in groups.
func causeAttrs(err error) []slog.Attr {
	var all []slog.Attr
	for i, cause := range causes(err) {
		attrs := attrsOf(cause)
		switch {
		case i == 0:
			all = slices.DeleteFunc(attrs, func(a slog.Attr) bool { return a.Key == "code" }) // which the line has
		case i < maxCauses:
			all = append(all, slog.Attr{Key: "cause" + strconv.Itoa(i+1), Value: slog.GroupValue(attrs...)})
		}
	}
	return all
}

// causes are the errors that errors.Join has joined, or the one.
func causes(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var texts []string
	all := joined.Unwrap()
	for _, one := range all {
		if one == nil {
			return []error{err}
		}
		texts = append(texts, one.Error())
	}
	if len(all) < 2 || strings.Join(texts, "\n") != err.Error() { // it says something of its own
		return []error{err}
	}
	return all
}

// attrsOf are what was compared, each by itself, and the text of an error that says more.
func attrsOf(err error) []slog.Attr {
	var all []slog.Attr
	add := func(name, value string, most int) {
		if value != "" {
			all = append(all, slog.String(name, printable(value, most)))
		}
	}
	if e, ok := err.(*Error); ok && e != nil { //nolint:errorlint // itself: one of several refusals
		all = append(all, slog.String("code", e.Reason.Code()))
		if err = e.Err; err == nil {
			return all
		}
	}
	m, ok := errors.AsType[*Mismatch](err)
	if !ok || m == nil {
		add("error", err.Error(), maxCause)
		return all
	}
	if own := m.Error(); !strings.HasSuffix(err.Error(), own) {
		add("error", err.Error(), maxCause)
	} else if before := strings.TrimSuffix(err.Error(), own); before != "" {
		add("error", strings.TrimSuffix(before, ": "), maxCause)
	}
	add("what", m.What, maxLogged)
	add("got", m.Got, maxCause)
	add("want", m.Want, maxWant)
	add("advice", m.Advice, maxCause)
	return all
}

// printable is the beginning of a text in printable ASCII.
func printable(s string, most int) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s[:min(len(s), most)])
}
