//go:build race

package popauth_test

// crowd is how many requests come at once. The race detector makes each ten times as slow, and finds what it finds
// with fewer.
const crowd = 400
