package proxy

const (
	albLeaf  = "X-Amzn-Mtls-Clientcert-Leaf"
	albChain = "X-Amzn-Mtls-Clientcert"
)

// AWSALBVerify reads X-Amzn-Mtls-Clientcert-Leaf, which an Application Load Balancer sends in mutual TLS verify
// mode. The mode is the verdict: Verified is set. There is no chain.
//
// The header of passthrough mode, which validates nothing, is an error here whatever else is sent: a listener that
// was switched to it must not go unnoticed.
func AWSALBVerify() Format {
	return newFormat(Format{
		name:     "aws-alb-verify",
		cert:     albLeaf,
		encoding: PEMPercent,
		none:     []string{""},
		verified: true,
		foreign:  []string{albChain},
		others:   albOthers(),
		tells:    albOthers(),
	})
}

// AWSALBPassthrough reads X-Amzn-Mtls-Clientcert, which an Application Load Balancer sends in mutual TLS passthrough
// mode: the whole chain as the client sent it. The load balancer validates nothing, so Verified is never set.
//
// The header of verify mode is an error here: one listener sends one of them, so someone else sent the other.
func AWSALBPassthrough() Format {
	return newFormat(Format{
		name:     "aws-alb-passthrough",
		cert:     albChain,
		encoding: PEMPercentList,
		none:     []string{""},
		foreign:  []string{albLeaf},
		others:   albOthers(),
		tells:    albOthers(),
	})
}

func albOthers() []string {
	return []string{albChain + "-Serial-Number", albChain + "-Issuer", albChain + "-Subject", albChain + "-Validity"}
}

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
// a verdict nor a chain, so Verified is never set; the fingerprint beside it is not read.
//
// Cloudflare forwards invalid certificates too, unless a firewall rule on cf.tls_client_auth.cert_verified stops
// them.
func CloudflareLegacy() Format {
	return newFormat(Format{
		name:     "cloudflare-legacy",
		cert:     "Cf-Client-Cert-Der-Base64",
		encoding: Base64DER,
		none:     []string{""},
		others:   []string{"Cf-Client-Cert-Sha256"},
		tells:    []string{"Cf-Client-Cert-Sha256"},
	})
}

// AzureAppService reads X-ARR-ClientCert as the front ends of App Service and Functions send it. There is neither a
// verdict nor a chain, so Verified is never set.
//
// App Service validates nothing and only forwards. Whether it removes a client's own header when certificates are
// optional is not documented: require them.
func AzureAppService() Format {
	return newFormat(Format{
		name:     "azure-app-service",
		cert:     "X-ARR-ClientCert",
		encoding: Base64DER,
		none:     []string{""},
	})
}

// IISARR reads X-ARR-ClientCert as Application Request Routing of IIS sends it, in the same form as
// [AzureAppService]. There is neither a verdict nor a chain, so Verified is never set.
//
// IIS decides what is valid. Whether ARR removes a client's own header where certificates are ignored is not
// documented: require them.
func IISARR() Format {
	f := AzureAppService()
	f.name = "iis-arr"
	return f
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
