package popauth

import (
	"fmt"
	"time"
)

// settingsProblem reports what is wrong with a field, for an error that lists everything.
type settingsProblem func(field, format string, args ...any)

// settingsProblems returns a settingsProblem that adds to wrong. Of is the package and the type, such as "popauth: Options".
func settingsProblems(of string, wrong *[]error) settingsProblem {
	return func(field, format string, args ...any) {
		*wrong = append(*wrong, fmt.Errorf(of+"."+field+": "+format, args...))
	}
}

// A clock may differ by as much from those of others.
const (
	defaultLeeway = 30 * time.Second
	maxLeeway     = 5 * time.Minute
)

// completeLeeway fills in the default, and reports what is out of bounds.
func completeLeeway(leeway *time.Duration, report settingsProblem) {
	switch {
	case *leeway == 0:
		*leeway = defaultLeeway
	case *leeway < 0 || *leeway > maxLeeway:
		report("Leeway", "%v is not between 0 and %v", *leeway, maxLeeway)
	}
}

// completeDuration fills in what zero stands for, and reports what is negative.
func completeDuration(report settingsProblem, field string, value *time.Duration, zero time.Duration) {
	if *value < 0 {
		report(field, "negative")
	}
	if *value == 0 {
		*value = zero
	}
}

// maxCount bounds every number of things that are kept or done at once.
const maxCount = 1 << 20

// completeCount fills in what zero stands for, and reports what is not between 0 and maxCount.
func completeCount(report settingsProblem, field string, value *int, zero int) {
	if *value < 0 || *value > maxCount {
		report(field, "%d is not between 0 and %d", *value, maxCount)
	}
	if *value == 0 {
		*value = zero
	}
}
