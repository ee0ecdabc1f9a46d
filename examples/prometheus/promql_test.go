package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// promql evaluates as much of PromQL as alerts.yaml's rule about outages is written in, on two scrapes of one server that are
// five minutes apart: sum(rate(…[5m])), or, and, >, +, *, vector() and numbers, all without labels.
type promql struct {
	testing.TB
	before, after map[string]float64
	tokens        []string
}

// vector has one element, or none.
type vector struct {
	value float64
	some  bool
}

var promqlToken = regexp.MustCompile(`\s*(sum\(rate\(\w+\{(?:[^"}]|"[^"]*")*\}\[5m\]\)\)|\w+(?:\.\d+)?|[()>+*])`)

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
	if len(p.tokens) > 0 {
		p.Fatalf("can't read %q of %s", p.tokens, expression)
	}
	return v.some
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
		if w := p.and(); !v.some {
			v = w
		}
	}
	return v
}

func (p *promql) and() vector {
	v := p.compared()
	for p.take("and") {
		if w := p.compared(); !w.some {
			v = w
		}
	}
	return v
}

func (p *promql) compared() vector {
	v := p.added()
	for p.take(">") {
		if w := p.added(); !w.some || v.value <= w.value {
			v = vector{}
		}
	}
	return v
}

func (p *promql) added() vector {
	v := p.multiplied()
	for p.take("+") {
		w := p.multiplied()
		v = vector{v.value + w.value, v.some && w.some}
	}
	return v
}

func (p *promql) multiplied() vector {
	v := p.one()
	for p.take("*") {
		w := p.one()
		v = vector{v.value * w.value, v.some && w.some}
	}
	return v
}

func (p *promql) one() vector {
	if len(p.tokens) == 0 {
		p.Fatalf("the expression ends too early")
	}
	if p.take("(") || p.take("vector") && p.take("(") {
		v := p.or()
		if !p.take(")") {
			p.Fatalf("no ) before %q", p.tokens)
		}
		return v
	}
	token := p.tokens[0]
	p.tokens = p.tokens[1:]
	if strings.HasPrefix(token, "sum(") {
		return p.sumOfRates(token)
	}
	n, err := strconv.ParseFloat(token, 64)
	if err != nil {
		p.Fatalf("%q is no number", token)
	}
	return vector{n, true}
}

var (
	promqlSelector = regexp.MustCompile(`sum\(rate\((\w+)\{(.*)\}\[5m\]\)\)`)
	promqlLabel    = regexp.MustCompile(`(\w+)="([^"]*)"`)
)

// sumOfRates goes by series that both scrapes have, as rate does.
func (p *promql) sumOfRates(token string) (v vector) {
	m := promqlSelector.FindStringSubmatch(token)
	for series, value := range p.after {
		before, ok := p.before[series]
		if !ok || !strings.HasPrefix(series, m[1]+"{") {
			continue
		}
		matches := true
		for _, label := range promqlLabel.FindAllStringSubmatch(m[2], -1) {
			matches = matches && strings.Contains(series, fmt.Sprintf(`%s=%q`, label[1], label[2]))
		}
		if matches {
			v.some, v.value = true, v.value+(value-before)/300
		}
	}
	return v
}

func TestPromql(t *testing.T) {
	p := &promql{
		TB: t, before: map[string]float64{`n{a="x"}`: 0, `n{a="y"}`: 100}, after: map[string]float64{`n{a="x"}`: 600, `n{a="y"}`: 400},
	}
	for expression, want := range map[string]bool{
		`sum(rate(n{a="x"}[5m])) > 1.5`:                                    true,
		`sum(rate(n{a="x"}[5m])) > 2`:                                      false,
		`sum(rate(n{a="z"}[5m])) > 0`:                                      false,
		`sum(rate(n{a="x"}[5m])) > 0.5 * (sum(rate(n{a="y"}[5m])) + 1)`:    true,
		`sum(rate(n{a="x"}[5m])) > sum(rate(n{a="z"}[5m]))`:                false,
		`sum(rate(n{a="x"}[5m])) > (sum(rate(n{a="z"}[5m])) or vector(0))`: true,
		`sum(rate(n{a="x"}[5m])) > 1 and sum(rate(n{a="y"}[5m])) > 1`:      false,
		`sum(rate(n{a="x"}[5m])) > 1 and sum(rate(n{a="y"}[5m])) > 0.9`:    true,
		`sum(rate(n{a="z"}[5m])) > 1 or sum(rate(n{a="y"}[5m])) > 0.9`:     true,
	} {
		if got := p.fires(expression); got != want {
			t.Errorf("%s: got %t, want %t", expression, got, want)
		}
	}
}
