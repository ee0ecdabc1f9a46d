// Package soak runs an API as it is deployed, two processes behind nginx that share a Redis and have an issuer, breaks one
// part after the other, and holds every answer to two rules: no thief reaches a handler, and no owner is taken for another.
package soak
