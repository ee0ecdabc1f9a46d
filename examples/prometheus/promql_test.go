package main

import (
	"maps"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// promql evaluates as much of PromQL as alerts.yaml's rules about outages are written in, on two scrapes that are five minutes
// apart: sum by (…) (rate(…[5m])), or, and, >, +, * and numbers. Elements of two vectors belong together if all labels are equal.
type promql struct {
	testing.TB
	before, after map[string]float64
	tokens        []string
}

// vector has its elements by their labels. A number is a scalar.
type vector struct {
	elements map[string]float64
	scalar   bool
	number   float64
}

var promqlToken = regexp.MustCompile(`\s*(sum by \([\w, ]+\) \(rate\(\w+\{(?:[^"}]|"[^"]*")*\}\[5m\]\)\)|\w+(?:\.\d+)?|[()>+*])`)

func (p *promql) fires(expression string) bool {
	p.Helper()
	p.tokens = nil
	for rest := expression; rest != ""; {
		m := promqlToken.FindStringSubmatchIndex(rest)
		if m == nil || m[0] != 0 {
			p.Fatalf("can't read %q of %s", rest, expression)
		}
		p.tokens, rest = append(p.tokens, rest[m[2]:m[3]]), strings.TrimSpace(rest[m[1]:])
	}
	v := p.or()
	if len(p.tokens) > 0 || v.scalar {
		p.Fatalf("can't read %q of %s", p.tokens, expression)
	}
	return len(v.elements) > 0
}

func (p *promql) take(wanted string) bool {
	if len(p.tokens) == 0 || p.tokens[0] != wanted {
		return false
	}
	p.tokens = p.tokens[1:]
	return true
}

func (p *promql) or() vector {
	v := p.and()
	for p.take("or") {
		w := p.and()
		for labels, value := range w.elements {
			if _, ok := v.elements[labels]; !ok {
				v.elements[labels] = value
			}
		}
	}
	return v
}

func (p *promql) and() vector {
	v := p.compared()
	for p.take("and") {
		w := p.compared()
		maps.DeleteFunc(v.elements, func(labels string, _ float64) bool {
			_, ok := w.elements[labels]
			return !ok
		})
	}
	return v
}

// joined applies f to the elements that belong together, and leaves out what it doesn't want.
func joined(v, w vector, f func(a, b float64) (float64, bool)) vector {
	if v.scalar && w.scalar {
		v.number, _ = f(v.number, w.number)
		return v
	}
	of := v.elements
	if v.scalar {
		of = w.elements
	}
	all := vector{elements: map[string]float64{}}
	for labels := range of {
		a, ok := v.elements[labels]
		b, too := w.elements[labels]
		if v.scalar {
			a, ok = v.number, true
		}
		if w.scalar {
			b, too = w.number, true
		}
		if value, wanted := f(a, b); ok && too && wanted {
			all.elements[labels] = value
		}
	}
	return all
}

func (p *promql) compared() vector {
	v := p.added()
	for p.take(">") {
		v = joined(v, p.added(), func(a, b float64) (float64, bool) { return a, a > b })
	}
	return v
}

func (p *promql) added() vector {
	v := p.multiplied()
	for p.take("+") {
		v = joined(v, p.multiplied(), func(a, b float64) (float64, bool) { return a + b, true })
	}
	return v
}

func (p *promql) multiplied() vector {
	v := p.one()
	for p.take("*") {
		v = joined(v, p.one(), func(a, b float64) (float64, bool) { return a * b, true })
	}
	return v
}

func (p *promql) one() vector {
	if len(p.tokens) == 0 {
		p.Fatalf("the expression ends too early")
	}
	if p.take("(") {
		v := p.or()
		if !p.take(")") {
			p.Fatalf("no ) before %q", p.tokens)
		}
		return v
	}
	token := p.tokens[0]
	p.tokens = p.tokens[1:]
	if strings.HasPrefix(token, "sum by") {
		return p.sumOfRates(token)
	}
	n, err := strconv.ParseFloat(token, 64)
	if err != nil {
		p.Fatalf("%q is no number", token)
	}
	return vector{scalar: true, number: n}
}

var (
	promqlSelector = regexp.MustCompile(`sum by \(([\w, ]+)\) \(rate\((\w+)\{(.*)\}\[5m\]\)\)`)
	promqlLabel    = regexp.MustCompile(`(\w+)=(~?)"([^"]*)"`)
)

// sumOfRates goes by series that both scrapes have, as rate does.
func (p *promql) sumOfRates(token string) vector {
	m := promqlSelector.FindStringSubmatch(token)
	all := vector{elements: map[string]float64{}}
	for series, value := range p.after {
		before, ok := p.before[series]
		if !ok || !strings.HasPrefix(series, m[2]+"{") {
			continue
		}
		labels := map[string]string{}
		for _, label := range promqlLabel.FindAllStringSubmatch(series, -1) {
			labels[label[1]] = label[3]
		}
		matches := true
		for _, label := range promqlLabel.FindAllStringSubmatch(m[3], -1) {
			has := labels[label[1]] == label[3]
			if label[2] != "" {
				has = regexp.MustCompile("^(?:" + label[3] + ")$").MatchString(labels[label[1]])
			}
			matches = matches && has
		}
		if matches {
			var by []string
			for name := range strings.SplitSeq(m[1], ", ") {
				by = append(by, labels[name])
			}
			all.elements[strings.Join(by, "\n")] += (value - before) / 300
		}
	}
	return all
}

func TestPromql(t *testing.T) {
	p := &promql{
		TB: t, before: map[string]float64{`n{j="1",a="x"}`: 0, `n{j="1",a="y"}`: 100, `n{j="2",a="y"}`: 0},
		after: map[string]float64{`n{j="1",a="x"}`: 600, `n{j="1",a="y"}`: 400, `n{j="2",a="y"}`: 3000},
	}
	x, y, z := `sum by (j) (rate(n{a="x"}[5m]))`, `sum by (j) (rate(n{a="y"}[5m]))`, `sum by (j) (rate(n{a="z"}[5m]))`
	for expression, want := range map[string]bool{
		x + ` > 1.5`: true,
		`sum by (j) (rate(n{a=~"w|x"}[5m])) > 1.5`: true, `sum by (j) (rate(n{a=~"w"}[5m])) > 0`: false,
		x + ` > 2`:                               false,
		z + ` > 0`:                               false,
		x + ` > 0.5 * (` + y + ` + 1)`:           true,
		x + ` > ` + z:                            false,
		x + ` > (` + z + ` or 0 * ` + x + `)`:    true,
		x + ` > ` + y:                            true, // 2 and 1 at j="1"; nothing to compare with at j="2"
		x + ` > 1 and ` + y + ` > 1`:             false,
		x + ` > 1 and ` + y + ` > 0.9`:           true,
		z + ` > 1 or ` + y + ` > 9`:              true,
		`sum by (a) (rate(n{a="y"}[5m])) > 10.5`: true,
	} {
		if got := p.fires(expression); got != want {
			t.Errorf("%s: got %t, want %t", expression, got, want)
		}
	}
}
