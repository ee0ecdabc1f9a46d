package probe

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// challenge is one of WWW-Authenticate.
type challenge struct {
	scheme  string
	params  map[string]string // names in lower case
	token68 string
}

// parseChallenges reads the lines as RFC 9110, section 11.6.1, has them, and no other.
func parseChallenges(h http.Header) ([]challenge, error) {
	var all []challenge
	for _, line := range h.Values("WWW-Authenticate") {
		r := &reader{rest: line}
		list, err := r.challenges()
		if err != nil {
			return all, fmt.Errorf("%w in %q", err, line)
		}
		all = append(all, list...)
	}
	return all, nil
}

// reader reads from the beginning of what is left.
type reader struct{ rest string }

func isTokenByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

func (r *reader) span(is func(byte) bool) string {
	n := 0
	for n < len(r.rest) && is(r.rest[n]) {
		n++
	}
	text := r.rest[:n]
	r.rest = r.rest[n:]
	return text
}

func (r *reader) spaces() string { return r.span(func(c byte) bool { return c == ' ' || c == '\t' }) }

func (r *reader) skip(c byte) bool {
	if r.rest == "" || r.rest[0] != c {
		return false
	}
	r.rest = r.rest[1:]
	return true
}

func (r *reader) challenges() ([]challenge, error) {
	var all []challenge
	for {
		for r.spaces(); r.skip(','); r.spaces() {
		}
		if r.rest == "" {
			if len(all) == 0 {
				return nil, errors.New("no challenge")
			}
			return all, nil
		}
		name := r.span(isTokenByte)
		if name == "" {
			return nil, fmt.Errorf("neither a scheme nor a parameter at %q", r.rest)
		}
		before := r.rest
		space := r.spaces()
		if r.skip('=') { // a parameter of the last challenge
			r.spaces()
			if len(all) == 0 || all[len(all)-1].token68 != "" {
				return nil, fmt.Errorf("parameter %s without a scheme", name)
			}
			if err := r.value(&all[len(all)-1], name); err != nil {
				return nil, err
			}
			continue
		}
		c := challenge{scheme: name, params: map[string]string{}}
		if space == "" && before != "" && before[0] != ',' {
			return nil, fmt.Errorf("%q behind the scheme %s", before[:1], name)
		}
		if err := r.first(&c); err != nil {
			return nil, err
		}
		all = append(all, c)
	}
}

// first reads the first parameter of a challenge, or its token68.
func (r *reader) first(c *challenge) error {
	if r.rest == "" || r.rest[0] == ',' {
		return nil
	}
	start := r.rest
	name := r.span(isTokenByte)
	r.spaces()
	if name != "" && r.skip('=') {
		r.spaces()
		if r.rest != "" && r.rest[0] != '=' && r.rest[0] != ',' {
			return r.value(c, name)
		}
	}
	r.rest = start
	c.token68 = r.span(func(b byte) bool { return isTokenByte(b) || b == '/' }) + r.span(func(b byte) bool { return b == '=' })
	if r.spaces(); c.token68 == "" || r.rest != "" && r.rest[0] != ',' {
		return fmt.Errorf("parameters of %s are separated by commas", c.scheme)
	}
	return nil
}

func (r *reader) value(c *challenge, name string) error {
	name = strings.ToLower(name)
	if _, twice := c.params[name]; twice {
		return fmt.Errorf("parameter %s twice", name)
	}
	var text strings.Builder
	if !r.skip('"') {
		value := r.span(isTokenByte)
		if value == "" {
			return fmt.Errorf("parameter %s without a value", name)
		}
		text.WriteString(value)
	} else {
		for !r.skip('"') {
			if r.rest == "" {
				return fmt.Errorf("parameter %s: no quote at the end", name)
			}
			if r.skip('\\') && r.rest == "" {
				return fmt.Errorf("parameter %s: nothing behind a backslash", name)
			}
			if b := r.rest[0]; b < ' ' && b != '\t' || b == 0x7f {
				return fmt.Errorf("parameter %s: a control character", name)
			}
			text.WriteByte(r.rest[0])
			r.rest = r.rest[1:]
		}
	}
	c.params[name] = text.String()
	if r.spaces(); r.rest != "" && r.rest[0] != ',' {
		return fmt.Errorf("no comma behind parameter %s", name)
	}
	return nil
}

// of returns the first challenge of one of these schemes.
func of(all []challenge, schemes ...string) *challenge {
	for i, c := range all {
		if slices.ContainsFunc(schemes, func(s string) bool { return strings.EqualFold(s, c.scheme) }) {
			return &all[i]
		}
	}
	return nil
}
