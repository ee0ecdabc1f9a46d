//go:build race

package load_test

// raceDetector makes many processes slow.
const raceDetector = true
