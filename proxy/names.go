package proxy

import (
	"fmt"
	"net/http"
	"strings"
)

// newFormat makes every name canonical and records what is wrong with the configuration.
func newFormat(f Format) Format {
	f.cert = http.CanonicalHeaderKey(f.cert)
	f.chain = canonical(f.chain)
	f.verdicts = canonical(f.verdicts)
	f.foreign = canonical(f.foreign)
	f.others = canonical(f.others)
	f.fingerprints = canonical(f.fingerprints)
	f.tells = canonical(f.tells)
	f.clashes = f.checkNames()
	return f
}

func canonical(names []string) []string {
	keys := make([]string, len(names))
	for i, name := range names {
		keys[i] = http.CanonicalHeaderKey(name)
	}
	return keys
}

// A use is a name with its role in the format.
type use struct{ role, name string }

func (f Format) names() []use {
	uses := []use{{"certificate", f.cert}}
	for _, group := range []struct {
		role  string
		names []string
	}{{"chain", f.chain}, {"verdict", f.verdicts}, {"hash", f.fingerprints}, {"other mode", f.foreign}, {"other", f.others}} {
		for _, name := range group.names {
			uses = append(uses, use{group.role, name})
		}
	}
	return uses
}

func (f Format) checkNames() (problems []error) {
	roles := map[string]string{}
	for _, u := range f.names() {
		switch other, taken := roles[u.name]; {
		case u.name == "":
			problems = append(problems, fmt.Errorf("proxy: %s: no name for the %s header", f.name, u.role))
		case !isName(u.name):
			problems = append(problems, fmt.Errorf("proxy: %s: %s header: invalid name %q", f.name, u.role, u.name))
		case taken:
			problems = append(problems, fmt.Errorf("proxy: %s: %q is the %s and the %s header", f.name, u.name, other, u.role))
		default:
			roles[u.name] = u.role
		}
	}
	return problems
}

// isName is narrower than a token of RFC 9110, section 5.6.2: gateways that follow CGI read every other character
// as a hyphen.
func isName(name string) bool {
	return strings.Trim(name, "-") != "" && !strings.ContainsFunc(name, func(c rune) bool {
		return c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
	})
}

// line returns the first line of a header and whether there is one.
func line(h http.Header, name string) (string, bool) {
	lines := h[name]
	if len(lines) == 0 {
		return "", false
	}
	return lines[0], true
}

// judged reads one verdict header with judge.
func judged(name string, judge Judge) func(func(string) (string, bool)) Verdict {
	name = http.CanonicalHeaderKey(name)
	return func(read func(string) (string, bool)) Verdict {
		text, sent := read(name)
		if !sent {
			return unsent
		}
		return judge(text)
	}
}
