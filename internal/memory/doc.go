// Package memory has the bounded memories: what JWS headers say, what was found out recently, and errors that outlive their
// request. Each is bounded in entries and in bytes, whatever a stranger sends.
package memory
