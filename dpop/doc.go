// Package dpop has tokens that are bound to a key confirmed by proofs of possession at the application layer (RFC 9449), for
// clients without certificates, such as browsers.
//
//	proofs, err := dpop.New(dpop.Options{BaseURL: "https://api.example.com"}) // this API, as its clients call it
//	// …
//	guard, err := popauth.New(popauth.Options{
//		Issuer: "https://id.example.com", Audience: []string{"https://api.example.com"},
//		Confirmers: []popauth.Confirmer{popauth.MutualTLS{}, proofs},
//	})
//
// Proofs that were used are remembered in this process, unless Options.Replay says where: the instances of one API share a
// store, as that of package redisreplay. Options.Nonces asks for nonces, which StatelessNonces provides without a store.
//
// The same Confirmer verifies the proofs of token requests, for an authorization server: see Confirmer.ProveKey and package
// clientauth.
package dpop
