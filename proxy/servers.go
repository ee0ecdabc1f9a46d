package proxy

// Nginx reads nginx's $ssl_client_escaped_cert from the header cert and $ssl_client_verify from the header verify,
// both named by the operator. SUCCESS sets Verified; FAILED: with a reason, which optional_no_ca lets through, does
// not; NONE goes with no certificate. nginx sends no chain.
//
// A location that has any proxy_set_header of its own inherits none: repeat both lines in it, or the client's own
// headers pass.
func Nginx(cert, verify string) Format {
	return newFormat(Format{
		name:     "nginx",
		program:  "nginx",
		cert:     cert,
		encoding: PEMPercent,
		none:     []string{""},
		verdicts: []string{verify},
		judge:    judged(verify, NginxVerify),
	})
}

// IngressNginx reads the fixed headers of ingress-nginx, ssl-client-cert and ssl-client-verify, as [Nginx] does.
//
// It needs the annotation auth-tls-pass-certificate-to-upstream: without it the verdict comes without a certificate,
// which is an error. On an Ingress without auth-tls-secret the client's own headers pass.
func IngressNginx() Format {
	f := Nginx("ssl-client-cert", "ssl-client-verify")
	f.name = "ingress-nginx"
	f.others = []string{"ssl-client-subject-dn", "ssl-client-issuer-dn"}
	f.tells = f.others
	return newFormat(f)
}

// Apache reads Apache httpd's %{SSL_CLIENT_CERT}s from the header cert and %{SSL_CLIENT_VERIFY}s from the header
// verify, both named by the operator; (null) means that there is none. SUCCESS sets Verified, GENEROUS and FAILED:
// with a reason do not. [Format.WithChain] adds %{SSL_CLIENT_CERT_CHAIN_0}s and so on.
//
// Apache removes the headers that the client lists in Connection after it has set them. A missing verdict beside a
// certificate, or beside (null), is therefore an error; add RequestHeader unset Connection to the virtual host.
// The verdict is meant for SSLVerifyClient optional and require. Where optional_no_ca lets any certificate in, leave it
// out: [Format.WithoutVerdict].
func Apache(cert, verify string) Format {
	return newFormat(Format{
		name:       "apache",
		program:    "apache",
		cert:       cert,
		encoding:   PEMFolded,
		none:       []string{"", "(null)"},
		chains:     PEMFolded,
		chainNone:  []string{"", "(null)"},
		chainLimit: maxCertificates,
		verdicts:   []string{verify},
		judge:      judged(verify, ApacheVerify),
	})
}

// HAProxy reads %[ssl_c_der,base64] from the header cert and %[ssl_c_verify] from the header verify, both named by
// the operator. 0 with a certificate sets Verified; the number of an OpenSSL error, which crt-ignore-err and
// ca-ignore-err let through, does not. [Format.WithChain] adds %[ssl_c_chain_der,base64].
//
// ssl_c_verify is 0 without a certificate too, so it proves nothing alone. Use set-header, never add-header, which
// leaves the client's own line in front; and condition on ssl_c_used, never on ssl_fc_has_crt, which is 0 when a
// session is resumed.
func HAProxy(cert, verify string) Format {
	return newFormat(Format{
		name:       "haproxy",
		program:    "haproxy",
		cert:       cert,
		encoding:   Base64DER,
		none:       []string{""},
		chains:     Base64DERBlob,
		chainNone:  []string{""},
		chainLimit: 1,
		verdicts:   []string{verify},
		judge:      judged(verify, HAProxyVerify),
	})
}

// Caddy reads {http.request.tls.client.certificate_der_base64} from the header cert, named by the operator. Caddy
// has no verdict, so Verified is never set, and no placeholder for the chain.
//
// Without a certificate current releases send an empty value, and older ones, Debian 12's 2.6.2 among them, the
// text of this very placeholder; both mean none, every other placeholder is an error. Never combine header_up -X
// with header_up X: removals run last, and leave nothing.
func Caddy(cert string) Format {
	return newFormat(Format{
		name:     "caddy",
		program:  "caddy",
		cert:     cert,
		encoding: Base64DER,
		none:     []string{"", "{http.request.tls.client.certificate_der_base64}"},
	})
}

// Traefik reads X-Forwarded-Tls-Client-Cert as the passTLSClientCert middleware with pem: true writes it since
// v2.9.2: what the client sent, leaf first. Traefik has no verdict, so Verified is never set. The form of earlier
// releases, which is also percent-encoded, is an error, and the -Info header is never read: it does not escape what
// the client chose.
//
// forwardedHeaders.trustedIPs and insecure let the client's own header pass: clear it in a middleware before
// passTLSClientCert, as [Site.Traefik] does.
func Traefik() Format {
	return newFormat(Format{
		name:     "traefik",
		program:  "traefik",
		cert:     "X-Forwarded-Tls-Client-Cert",
		encoding: Base64DERList,
		none:     []string{""},
		others:   []string{"X-Forwarded-Tls-Client-Cert-Info"},
		tells:    []string{"X-Forwarded-Tls-Client-Cert-Info"},
	})
}

// Kong reads X-Client-Cert and X-Client-Cert-Chain as the plugin tls-metadata-headers writes them under their
// default names; the leaf at the start of the chain is left out. The plugin sends no verdict, so Verified is never
// set.
//
// When a client sent no certificate the plugin leaves the client's own headers in place: remove them first.
func Kong() Format {
	others := []string{"X-Client-Cert-Serial", "X-Client-Cert-Issuer-DN", "X-Client-Cert-Subject-DN", "X-Client-Cert-Fingerprint"}
	return newFormat(Format{
		name:      "kong",
		cert:      "X-Client-Cert",
		encoding:  PEMPercent,
		none:      []string{""},
		chain:     []string{"X-Client-Cert-Chain"},
		chains:    PEMPercentList,
		chainNone: []string{""},
		chainFull: true,
		others:    others,
		tells:     others,
	})
}

// F5 reads [b64encode [SSL::cert 0]] from the header cert and [SSL::verify_result] from the header verify, which an iRule of BIG-IP
// sets, named by its author. The result is the number of an OpenSSL error, as [HAProxy]'s: 0 with a certificate sets Verified. There
// is no chain.
//
// The iRule must remove both headers first, outside of its condition, and HTTP::header insert adds a line to those that are there.
// For [b64encode [X509::whole [SSL::cert 0]]] use [Custom] with [Base64PEM].
func F5(cert, verify string) Format {
	return newFormat(Format{
		name:     "f5",
		cert:     cert,
		encoding: Base64DER,
		none:     []string{""},
		verdicts: []string{verify},
		judge:    judged(verify, HAProxyVerify),
	})
}
