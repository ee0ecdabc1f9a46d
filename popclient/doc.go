// Package popclient is for callers of APIs that take tokens bound to a key: it proves possession of the key with every
// request, by DPoP (RFC 9449).
//
//	key, err := popclient.GenerateKey("ES256")
//	if err != nil {
//		return err
//	}
//	// The key has to be known when the token is obtained: that is what binds it.
//	ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: &popclient.Proofs{Key: key}})
//	client := &http.Client{Transport: &popclient.DPoP{Key: key, Source: config.TokenSource(ctx)}}
//
// Requests are then made as with any other http.Client. Nonces are remembered and renewed on the way, and a token is
// never sent without a proof, nor under the Bearer scheme.
package popclient
