// Package routers tests popauth's reading of a request line, and its caching headers, against routers and middleware
// that popauth itself doesn't depend on.
package routers
