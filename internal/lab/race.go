//go:build race

package lab

// Crowd is how many requests come at once. The race detector makes each ten times as slow, and finds what it finds with fewer.
const Crowd = 400

// Race tells whether the race detector is on.
const Race = true
