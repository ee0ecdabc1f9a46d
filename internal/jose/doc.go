// Package jose reads compact JWSs (RFC 7515) and knows the algorithms (RFC 7518, RFC 9864) that may have signed them. It
// verifies nothing: its callers have the key.
package jose
