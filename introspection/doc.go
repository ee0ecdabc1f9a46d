// Package introspection verifies opaque tokens: its Verifier, for popauth.Options.Verifier, asks the authorization server about
// each (RFC 7662), and takes signed answers too (RFC 9701). For an API that gets JWTs as well, put it behind popauth.JWTOr.
package introspection
