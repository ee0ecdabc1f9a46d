// Package bench compares popauth with other ways to protect a handler by a JWT, on the same tokens and keys, in one
// process. All must first give the same answers. Times are given as a ratio to the verification of the signature alone,
// which all of them need: machines differ, and one machine differs from itself within seconds.
//
//	go run ./cmd/compare -short
package bench
