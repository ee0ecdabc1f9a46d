// Package proxy is for an API behind something that ends TLS: a reverse proxy, an ingress, a load balancer. It takes the
// client's certificate from the headers in which a trusted proxy reports it, and knows by its connection who is that proxy.
//
//	source, err := proxy.Certificate(proxy.Nginx("X-SSL-Client-Cert", "X-SSL-Client-Verify"),
//		proxy.TrustPeers(netip.MustParsePrefix("10.0.4.7/32")), proxy.TrustSecret("X-Proxy-Secret", secret))
//	guard, err := popauth.New(popauth.Options{…, Certificate: source})
//
// The format of a product is found by its name in docs/platforms.md. [APIGateway] and [TrustEvent] are for functions, which events reach
// and no connections.
//
// A [Trust] is a rule by which a connection or request is the proxy's; [Trusted] asks such rules for other purposes, and
// [URL] for that of DPoP proofs. [ConnContext] keeps the peer of a connection for them.
//
// A [Format] is the exact form in which one proxy sends the certificate: the header names, the encoding, how its absence looks,
// and the proxy's verdict where it sends one. Formats are chosen by configuration and never guessed from a value. Decoding has
// three outcomes, a certificate, none, or an error, and an error is never taken for "none". A Format looks at a header and
// returns DER. Whether the sender may be believed is decided before: anyone can send these headers, and few proxies remove a
// client's own. Formats read canonical header keys only, so other spellings (X_SSL_Client_Cert) are never seen here, but must be
// removed before a handler sees them, as the source of [Certificate] has it done. Nothing but the DER identifies a certificate:
// names, serial numbers and fingerprints in headers are never read.
//
// Limits: 16 KiB for a header with one certificate, 64 KiB for all certificate headers, 10 certificates per header,
// 16 KiB of DER per certificate. Headers are measured before anything is decoded.
//
// A [Sender] is the other side: for a gateway in Go that ends mutual TLS itself.
package proxy
