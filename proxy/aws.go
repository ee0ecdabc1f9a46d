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

const cloudFront = "CloudFront-Viewer-Cert-"

// CloudFront reads CloudFront-Viewer-Cert-Pem, which CloudFront sends to the origin in the modes required and optional of viewer
// mutual TLS, and CloudFront-Viewer-Cert-Present, 1 or 0. Both must be in the origin request policy. These modes validate what they
// forward, so Verified is set. There is no chain.
//
// The headers of the mode passthrough, which validates nothing, are an error here: a distribution that was switched to it must not
// go unnoticed. See [CloudFrontPassthrough].
func CloudFront() Format {
	return newFormat(Format{
		name:         "cloudfront",
		cert:         cloudFront + "Pem",
		encoding:     PEMPercent,
		none:         []string{""},
		verdicts:     []string{cloudFront + "Present"},
		judge:        judged(cloudFront+"Present", presentAs(Validated)),
		presence:     true,
		fingerprints: []string{cloudFront + "Sha256"},
		foreign:      []string{"Client-Cert", "Client-Cert-Chain"},
		others:       cloudFrontOthers(),
	})
}

// CloudFrontPassthrough reads Client-Cert and Client-Cert-Chain in the form of RFC 9440, which CloudFront sends to the origin in
// the mode passthrough of viewer mutual TLS, and CloudFront-Viewer-Cert-Present, 1 or 0. All three must be in the origin request
// policy. CloudFront validates nothing, so Verified is never set.
//
// Whether CloudFront removes a client's own Client-Cert is not documented. So Present is mandatory: a certificate beside 0, or
// without it, is an error. The header of the other modes is an error, too: one distribution sends one of them.
func CloudFrontPassthrough() Format {
	return newFormat(Format{
		name:         "cloudfront-passthrough",
		cert:         "Client-Cert",
		encoding:     ByteSequence,
		none:         []string{""},
		chain:        []string{"Client-Cert-Chain"},
		chains:       ByteSequenceList,
		chainNone:    []string{""},
		chainLines:   true,
		verdicts:     []string{cloudFront + "Present"},
		judge:        judged(cloudFront+"Present", presentAs(NotValidated)),
		presence:     true,
		fingerprints: []string{cloudFront + "Sha256"},
		foreign:      []string{cloudFront + "Pem"},
		others:       cloudFrontOthers(),
	})
}

// presentAs is the Judge of 1, which a mode says of certificates in one state only, and 0.
func presentAs(verdict Verdict) Judge {
	return func(text string) Verdict {
		switch text {
		case "1":
			return verdict
		case "0":
			return NoCertificate
		}
		return Unknown
	}
}

func cloudFrontOthers() []string {
	return []string{cloudFront + "Serial-Number", cloudFront + "Issuer", cloudFront + "Subject", cloudFront + "Validity"}
}
