//go:build race

package report_test

// raceDetector changes what memory is needed.
const raceDetector = true
