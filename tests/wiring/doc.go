// Package wiring holds popauth against servers and adapters that are no dependency of popauth itself: HTTP/2 without TLS,
// HTTP/3, and a framework that makes each handler a request of its own.
package wiring
