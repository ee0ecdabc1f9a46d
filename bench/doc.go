// Package bench compares popauth with other ways to protect a handler by a JWT, on the same tokens and keys, in one
// process. Each is first held to the same answers. How long they take is told as a ratio to the verification of the
// signature alone, which nobody can do without: machines differ, and one machine differs from itself within seconds.
//
//	go run ./cmd/compare -short
package bench
