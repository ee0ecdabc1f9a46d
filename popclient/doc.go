// Package popclient calls APIs whose tokens are bound to a key: it proves possession of the key with every
// request, by the client's certificate (mutual TLS, RFC 8705) or by DPoP (RFC 9449).
//
// # With a certificate
//
// [MutualTLS] finds the token endpoint, authenticates there by the certificate, and sends requests with the token and
// the certificate that it is bound to. It renews both as needed.
//
//	transport, err := popclient.NewMutualTLS(popclient.MutualTLSOptions{
//		Issuer:      "https://id.example.com",
//		ClientID:    "orders-job",
//		Certificate: popclient.CertificateFiles("client.crt", "client.key"),
//		Scopes:      []string{"orders.read"},
//	})
//	if err != nil {
//		return err
//	}
//	client := &http.Client{Transport: transport}
//
// For connections without an http.Client, such as those of gRPC, [MutualTLS.Credentials] returns the certificate and
// the token source that belongs to it.
//
// # With a key
//
// [DPoP] signs a proof for each request, with tokens of any source. [Proofs] gets tokens bound to the key.
//
//	key, err := popclient.GenerateKey("ES256")
//	if err != nil {
//		return err
//	}
//	// The key has to be known when the token is obtained: that is what binds it.
//	ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{
//		Transport: &popclient.Proofs{Key: key},
//		Timeout:   10 * time.Second, // or a token endpoint that hangs would never be asked again
//	})
//	client := &http.Client{Transport: &popclient.DPoP{Key: key, Source: config.TokenSource(ctx)}}
//
// With MutualTLSOptions.Key a client does both: the certificate authenticates it at the token endpoint, and its tokens
// are bound to the key. The algorithm has to be one that the server takes: [GenerateKeyFor] asks its metadata.
//
// # With a secret, or a JWT
//
// Binding a token is one thing, and who asks for it another. Where a server wants client_secret_basic, client_secret_post or
// private_key_jwt, set MutualTLSOptions.Authentication; for tokens of [Proofs], and for the flows of golang.org/x/oauth2
// with users, put [Authenticated] below Proofs. A client that has no certificate, authenticates by private_key_jwt and gets tokens
// that are bound to a key does the latter, with golang.org/x/oauth2/clientcredentials:
//
//	const server, endpoint = "https://id.example.com", "https://id.example.com/token"
//	registered, err := popclient.NewKey(signer, "ES256") // any crypto.Signer; the server knows its public key
//	if err != nil {
//		return err
//	}
//	key, err := popclient.GenerateKey("ES256") // what tokens are bound to
//	if err != nil {
//		return err
//	}
//	ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{
//		Transport: &popclient.Proofs{Key: key, Base: &popclient.Authenticated{
//			ClientID:       "orders-job",
//			Authentication: popclient.PrivateKeyJWT{Key: registered, KeyID: "2026-11", Audience: server},
//			Endpoints:      []string{endpoint},
//		}},
//		Timeout: 10 * time.Second,
//	})
//	config := clientcredentials.Config{
//		ClientID:  "orders-job",
//		TokenURL:  endpoint,
//		Scopes:    []string{"orders.read"},
//		AuthStyle: oauth2.AuthStyleInParams, // Authenticated authenticates
//	}
//	client := &http.Client{Transport: &popclient.DPoP{
//		Key: key, Source: config.TokenSource(ctx), Origins: []string{"https://api.example.com"},
//	}}
//
// A secret that a vault or a file changes while the client runs comes from Source of [ClientSecretBasic]. The clock of assertions is
// put right as that of proofs is, see [PrivateKeyJWT].
//
// # What servers do
//
// A server that doesn't know DPoP issues a token of the type Bearer, which is an error that says so. A client of several
// servers, of which not all bind tokens, may set DPoP.AllowBearer. Keycloak ignores Resources: its audience mapper sets the
// aud. Spring Security takes no more than 1000 proofs of one key while it remembers them, about half a minute, and refuses
// the rest as invalid_dpop_proof: a client that makes more requests needs several keys, or a setting there. Its
// Authorization Server takes a certificate that comes alone for a self-signed one: for tls_client_auth give the file of
// Certificate the chain, intermediates and root.
//
// Use the http.Client as any other. A token of type DPoP is never sent without its proof, and no token under another
// scheme than its own. For a certificate-bound token the connection is the proof: the certificate is presented to every
// server that asks for one. A server that doesn't ask gets the token alone, which it can't use at servers that ask. Set
// Origins, so that no other server gets a token.
//
// # Caches
//
// A caching transport, under popclient or around it, belongs to one caller, as its token and key do: cached answers are
// that caller's. Don't share one between two.
package popclient
