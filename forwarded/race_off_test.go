//go:build !race

package forwarded_test

const raceDetector = false
