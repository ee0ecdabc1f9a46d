// Package clientcert takes a client certificate as an identity: it verifies the chain itself, and has conditions on what the
// certificate says, for routes without tokens and for Guards.
//
//	source, err := clientcert.Verified(popauth.TLSCertificate(), clientcert.Verification{Roots: devices})
//	mux.Handle("POST /readings", clientcert.Require(source, clientcert.DNS("meter.example.com"))(readings))
//
// [Verified] is a source of certificates; give it to popauth.Options.Certificate or popauth.ClientCertificate as well. [Require]
// and [Check] open a route by a certificate alone, and [Recheck] asks later whether it still holds. A [Match] is a condition on the
// certificate; [Policy] has a Guard ask for it beside the token:
//
//	guard.Authorize(popauth.Scope("orders.write"), clientcert.Policy(clientcert.SPIFFE("spiffe://example.org/batch")))
//
// That a token is bound to a certificate needs none of this: see popauth.MutualTLS.
//
// All of it is made of exported names of package popauth, so that another validation or another door can be: see
// popauth.ValidatingSource, popauth.FindCertificate and popauth.Refuse.
package clientcert
