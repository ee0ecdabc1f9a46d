// Package routers holds popauth's reading of a request line against routers that are no dependency of popauth itself, and
// what it says to caches against middleware that is none.
package routers
