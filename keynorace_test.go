//go:build !race

package popauth_test

const crowd = 2000 // requests at once
