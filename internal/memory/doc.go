// Package memory has bounded caches: of tokens that were verified, of JWS headers, of recent results, and of errors that outlive
// their request. Each is bounded in entries and in bytes, whatever a stranger sends.
package memory
