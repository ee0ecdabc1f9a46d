package proxy

// Cloudflare reads Client-Cert and Client-Cert-Chain, set by transform rules from cf.tls_client_auth.cert_rfc9440
// and cert_chain_rfc9440. An empty value means none: these fields are empty without a certificate. There is no
// verdict, so Verified is never set.
//
// The fields are filled whether or not the certificate is valid: set the headers only if cert_verified and not
// cert_revoked, and remove both names in an unconditional rule first. A certificate over 10 KiB leaves its field
// empty as well.
func Cloudflare() Format {
	f := RFC9440()
	f.name, f.program = "cloudflare", ""
	f.none = []string{""}
	f.others = []string{"Cf-Client-Cert-Der-Base64", "Cf-Client-Cert-Sha256"}
	return newFormat(f)
}

// CloudflareLegacy reads Cf-Client-Cert-Der-Base64, which client_certificate_forwarding turns on. There is neither
// a verdict nor a chain, so Verified is never set; the hash beside it is not read, and an error without the certificate.
//
// Cloudflare forwards invalid certificates too, unless a firewall rule on cf.tls_client_auth.cert_verified stops
// them.
func CloudflareLegacy() Format {
	return newFormat(Format{
		name:     "cloudflare-legacy",
		cert:     "Cf-Client-Cert-Der-Base64",
		encoding: Base64DER,
		none:     []string{""},

		fingerprints: []string{"Cf-Client-Cert-Sha256"},
	})
}

// CloudFoundry reads X-Forwarded-Client-Cert as gorouter writes it: base64 of the DER. It shares no more than the
// name with [Envoy]'s header, whose values are errors here. There is neither a verdict nor a chain, so Verified is
// never set.
//
// Set forwarded_client_cert to sanitize_set. The default, always_forward, keeps what the client sent.
func CloudFoundry() Format {
	return newFormat(Format{
		name:     "cloud-foundry",
		cert:     "X-Forwarded-Client-Cert",
		encoding: Base64DER,
		none:     []string{""},
	})
}
