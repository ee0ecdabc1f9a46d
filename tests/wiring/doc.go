// Package wiring tests popauth against servers and adapters that it doesn't depend on: HTTP/2 without TLS, HTTP/3, and a
// framework that makes a new request for each handler.
package wiring
