// Package issuers verifies the JWTs of several issuers, such as those of tenants: its Verifier, for popauth.Options.Verifier, lets
// the one of a token's own issuer decide. Issuers are configured, added at run time, or resolved when their first token comes.
package issuers
