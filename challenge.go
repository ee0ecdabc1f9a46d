package popauth

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-171ab058/popauth/internal/field"
	"github.com/seed-171ab058/popauth/internal/reply"
)

// challenge is one authentication scheme of a Guard with the parameters that its challenges always carry.
type challenge struct {
	scheme string
	params []Param
}

// Param is one parameter of a challenge, such as algs of DPoP.
type Param struct{ Name, Value string }

// challengesFor returns the WWW-Authenticate values for e: RFC 6750, section 3; RFC 9449, section 7.2: the error
// stands in the challenge of the scheme that was used, in all if that can't be told; without credentials in none.
func challengesFor(e *Error, schemes []challenge, realm string) []string {
	a := e.answer()
	switch {
	case a.status == http.StatusUnauthorized:
	case a.code != "" && a.status < http.StatusInternalServerError:
	default:
		return nil
	}
	var first, rest []string
	for _, s := range schemes {
		mine := e.used == "" || strings.EqualFold(e.used, s.scheme)
		switch {
		case mine && a.code != "":
			first = append(first, s.write(a, e.asked, realm))
		case a.status == http.StatusUnauthorized:
			rest = append(rest, s.write(answer{}, nil, realm))
		}
	}
	return append(first, rest...)
}

// occasion is all that a challenge depends on which doesn't say what is asked for.
type occasion struct {
	answer answer
	used   string
}

// prepare writes the challenges once that are the same with every refusal.
func (g *Guard) prepare() {
	g.prepared = map[occasion][]string{}
	for reason := range answers {
		for _, s := range slices.Concat(g.schemes, []challenge{{}}) { // and without a scheme
			e := &Error{Reason: reason, used: s.scheme}
			g.prepared[occasion{e.answer(), e.used}] = challengesFor(e, g.schemes, g.options.Realm)
		}
	}
}

// challenges returns those for e. They may be shared with other requests.
func (g *Guard) challenges(e *Error) []string {
	if len(e.asked) == 0 {
		if c, ok := g.prepared[occasion{e.answer(), e.used}]; ok {
			return c
		}
	}
	return challengesFor(e, g.schemes, g.options.Realm)
}

// write puts error first, since there are clients that look for it only there.
func (c challenge) write(a answer, asked []Param, realm string) string {
	var b strings.Builder
	b.Grow(160)
	b.WriteString(c.scheme)
	sep := " "
	for _, p := range slices.Concat(
		[]Param{{"error", a.code}, {"error_description", a.description}}, asked, []Param{{"realm", realm}}, c.params,
	) {
		if p.Value == "" {
			continue
		}
		b.WriteString(sep)
		b.WriteString(p.Name)
		b.WriteString("=")
		b.WriteString(field.Quote(p.Value))
		sep = ", "
	}
	return b.String()
}

// deny writes the refusal. The headers are set before Options.Deny runs, so that it can't forget them.
func (g *Guard) deny(w http.ResponseWriter, r *http.Request, e *Error) {
	h := w.Header()
	maps.Copy(h, e.header)
	reply.Refuse(h)
	if len(e.challenges) > 0 {
		h["Www-Authenticate"] = append(h["Www-Authenticate"], e.challenges...)
	}
	if e.closes {
		h.Set("Connection", "close") // HTTP/2: GOAWAY
	}
	status := e.Status()
	if wait := e.RetryAfter(); wait > 0 {
		h.Set("Retry-After", strconv.Itoa(int(wait/time.Second)))
	}
	g.log(r, e)
	if g == nil || g.options.Deny == nil {
		w.WriteHeader(status)
		return
	}
	refusal := reply.NewRefusal(w, status)
	defer refusal.Close()
	g.options.Deny(refusal, reply.Whole(r), e)
	refusal.Finish()
}
