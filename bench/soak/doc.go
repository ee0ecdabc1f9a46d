// Package soak runs an API as deployed: two processes behind nginx, with one Redis and an issuer. It breaks one part after
// the other, and checks every answer by two rules: no thief reaches a handler, and no owner is taken for another.
package soak
