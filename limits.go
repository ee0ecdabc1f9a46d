package popauth

import (
	"fmt"
	"time"
)

// fieldProblems returns a function that adds to wrong what is wrong with a field.
func fieldProblems(options string, wrong *[]error) func(field, format string, args ...any) {
	return func(field, format string, args ...any) {
		*wrong = append(*wrong, fmt.Errorf("popauth: "+options+"."+field+": "+format, args...))
	}
}

const (
	defaultLeeway = 30 * time.Second
	maxLeeway     = 5 * time.Minute
)

func completeLeeway(leeway *time.Duration, problem func(field, format string, args ...any)) {
	switch {
	case *leeway == 0:
		*leeway = defaultLeeway
	case *leeway < 0 || *leeway > maxLeeway:
		problem("Leeway", "%v is not between 0 and %v", *leeway, maxLeeway)
	}
}

// duration is a setting that is not negative, with what zero stands for.
type duration struct {
	field string
	value *time.Duration
	zero  time.Duration
}

func completeDurations(problem func(field, format string, args ...any), all ...duration) {
	for _, d := range all {
		if *d.value < 0 {
			problem(d.field, "negative")
		}
		if *d.value == 0 {
			*d.value = d.zero
		}
	}
}

// maxCount bounds every number of things that are kept or done at once.
const maxCount = 1 << 20

// count is a setting between 0 and maxCount, with what zero stands for.
type count struct {
	field string
	value *int
	zero  int
}

func completeCounts(problem func(field, format string, args ...any), all ...count) {
	for _, n := range all {
		if *n.value < 0 || *n.value > maxCount {
			problem(n.field, "%d is not between 0 and %d", *n.value, maxCount)
		}
		if *n.value == 0 {
			*n.value = n.zero
		}
	}
}
