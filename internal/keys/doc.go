// Package keys has the public keys of issuers: what of a JWK Set can verify tokens, which of it keyfunc chooses for a token,
// and when a Set is fetched from its issuer. Nothing in it knows requests or refusals: an error is a NotFoundError, or says that
// the keys can't be had.
//
// A Set is read from a document, and immutable. A Remote has the Set that counts now: its schedule decides when the origin is
// asked for another, be it because of age or of a token that names a key which is not there.
package keys
