package proxy

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

// AzureApplicationGateway reads the server variable client_certificate of an Application Gateway from the header cert and
// client_certificate_verification from the header verify, both set by a rewrite rule and named by the operator. The values are
// nginx's: percent-encoded PEM, and SUCCESS, which sets Verified, FAILED: with a reason, or NONE. There is no chain.
//
// A listener in Passthrough validates nothing, and what its verdict says is not documented: use [Format.WithoutVerdict] there. A
// listener or path without the rewrite set, or whose rule has a condition that is false, lets the client's own headers pass: have
// the same rule, without a condition, set the header of [TrustSecret], so that such a request is refused.
func AzureApplicationGateway(cert, verify string) Format {
	f := Nginx(cert, verify)
	f.name, f.program = "azure-application-gateway", ""
	return newFormat(f)
}

// AzureContainerApps reads X-Forwarded-Client-Cert as the ingress of Container Apps writes it: one element as of [Envoy], with
// Hash, Cert and Chain, that may end with a semicolon. Chain may leave the client's own certificate out. There is no verdict, so
// Verified is never set.
//
// The ingress takes self-signed certificates and validates none, with clientCertificateMode require, too. Whether it removes a
// client's own header in the mode ignore is not documented: choose accept or require.
func AzureContainerApps() Format {
	return newFormat(Format{
		name: "azure-container-apps", cert: "X-Forwarded-Client-Cert", encoding: xfccContainerApps, none: []string{""},
	})
}
