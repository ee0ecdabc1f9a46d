package proxy

import "strings"

// RFC9440 reads Client-Cert and Client-Cert-Chain as RFC 9440 defines them. A request without Client-Cert has no
// certificate; an empty one, and a chain without a certificate, are errors. The RFC has no verdict, so Verified is
// never set: set the header only after a successful validation, or validate the chain locally.
//
// The proxy must remove or overwrite both names on every request and every listener (RFC 9440, section 2.4); expect
// none to do so unless it is told to.
func RFC9440() Format {
	return newFormat(Format{
		name:       "rfc9440",
		program:    "rfc9440",
		cert:       "Client-Cert",
		encoding:   ByteSequence,
		chain:      []string{"Client-Cert-Chain"},
		chains:     ByteSequenceList,
		chainLines: true,
		chainNone:  []string{""},
	})
}

// RFC9440Template is [RFC9440] written by a template that can't leave the header out: an empty value and the bare
// delimiters "::" also mean that there is no certificate. HAProxy's :%[ssl_c_der,base64]: and Caddy's
// :{http.request.tls.client.certificate_der_base64}: are such templates; older Caddy releases leave the placeholder
// in the text, which stays an error.
func RFC9440Template() Format {
	f := RFC9440()
	f.name = "rfc9440-template"
	f.none = []string{"", "::"}
	return f
}

// ByteSequence reads one certificate as the Byte Sequence of RFC 9440, section 2.1: ":", base64 of the DER, ":".
// Parameters, padding that is missing or not canonical, and every other type of structured field are refused,
// although RFC 8941 would let a parser take some of them.
func ByteSequence(value string) ([][]byte, error) {
	if len(value) > maxValue {
		return nil, tooLarge("over 16 KiB")
	}
	der, err := byteSequence(value)
	if err != nil {
		return nil, err
	}
	return [][]byte{der}, nil
}

// ByteSequenceList reads one to ten certificates as the List of RFC 9440, section 2.3: Byte Sequences separated by
// commas, with spaces and tabs around them (RFC 8941, section 4.2.1).
func ByteSequenceList(value string) ([][]byte, error) {
	if len(value) > maxValues {
		return nil, tooLarge("over 64 KiB")
	}
	if strings.Count(value, ",") >= maxCertificates {
		return nil, tooLarge("more than 10 certificates")
	}
	var certs [][]byte
	for item := range strings.SplitSeq(value, ",") {
		der, err := byteSequence(strings.Trim(item, " \t"))
		if err != nil {
			return nil, err
		}
		certs = append(certs, der)
	}
	return certs, nil
}

func byteSequence(value string) ([]byte, error) {
	if len(value) < 2 || value[0] != ':' || value[len(value)-1] != ':' {
		return nil, malformed("not a byte sequence")
	}
	return base64DER(value[1 : len(value)-1])
}
