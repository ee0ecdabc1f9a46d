package settings

import (
	"fmt"
	"time"
)

// Problem reports what is wrong with a field, for an error that lists everything.
type Problem func(field, format string, args ...any)

// Problems returns a Problem that adds to wrong. Of is the package and the type, such as "popauth: Options".
func Problems(of string, wrong *[]error) Problem {
	return func(field, format string, args ...any) {
		*wrong = append(*wrong, fmt.Errorf(of+"."+field+": "+format, args...))
	}
}

// A clock may differ by as much from those of others.
const (
	defaultLeeway = 30 * time.Second
	MaxLeeway     = 5 * time.Minute
)

// Leeway fills in the default, and reports what is out of bounds.
func Leeway(leeway *time.Duration, report Problem) {
	switch {
	case *leeway == 0:
		*leeway = defaultLeeway
	case *leeway < 0 || *leeway > MaxLeeway:
		report("Leeway", "%v is not between 0 and %v", *leeway, MaxLeeway)
	}
}

// Duration fills in what zero stands for, and reports what is negative.
func Duration(report Problem, field string, value *time.Duration, zero time.Duration) {
	if *value < 0 {
		report(field, "negative")
	}
	if *value == 0 {
		*value = zero
	}
}

// maxCount bounds every number of things that are kept or done at once.
const maxCount = 1 << 20

// Count fills in what zero stands for, and reports what is not between 0 and maxCount.
func Count(report Problem, field string, value *int, zero int) {
	if *value < 0 || *value > maxCount {
		report(field, "%d is not between 0 and %d", *value, maxCount)
	}
	if *value == 0 {
		*value = zero
	}
}
