// Package popauthtest has the parts for testing an API that takes tokens bound to a key: an issuer with a real
// discovery document and JWKS, a certificate authority, clients with certificates, tokens with any claims, a TLS
// server and a clock.
//
//	issuer := popauthtest.NewIssuer(t)
//	owner := popauthtest.NewCA(t).Client("orders-batch")
//	token := issuer.Token(owner.Bound(), popauthtest.Claims{"scope": "orders.read"})
//
// For tokens bound by DPoP, NewProofKey makes the key.
//
// Test handlers with owner.Request, or through a TLS handshake with NewServer and owner.HTTP. Servers stop when the
// test ends. Keys and signatures are real and made for the test: no two issuers, authorities or clients share one.
//
// Set exported fields before the first use; all methods may be called from several goroutines.
package popauthtest

// TB is the part of testing.TB that this package needs: *testing.T, *testing.B and *testing.F are one. A main that
// plays with these parts brings its own, whose Fatalf does not return.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}
