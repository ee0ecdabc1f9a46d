//go:build !race

package popauth_test

const replayRaced = false
