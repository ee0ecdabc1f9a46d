//go:build !race

package wiring_test

const earlyData = true
