//go:build !race

package lab

// Crowd is how many requests come at once.
const Crowd = 2000

// Race tells whether the race detector is on.
const Race = false
