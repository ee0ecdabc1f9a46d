//go:build !race

package lab

const Crowd = 2000 // requests at once
