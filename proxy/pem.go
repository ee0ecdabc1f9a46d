package proxy

import "strings"

const (
	pemBegin = "-----BEGIN CERTIFICATE-----"
	pemEnd   = "-----END CERTIFICATE-----"
)

// PEMPercent reads one percent-encoded PEM certificate, as nginx's $ssl_client_escaped_cert, ingress-nginx, Kong,
// AWS ALB, CloudFront and Azure Application Gateway send it. A plus sign is literal whether it is encoded or not; %2B
// is decoded once. The text is one CERTIFICATE block (RFC 7468, section 5) with LF or CRLF line ends, without headers,
// and nothing around it but a final line end.
func PEMPercent(value string) ([][]byte, error) {
	if len(value) > maxValue {
		return nil, tooLarge("over 16 KiB")
	}
	text, err := unpercent(value)
	if err != nil {
		return nil, err
	}
	return scanPEM(text, 1, "\n", "\r\n")
}

// PEMPercentList reads one to ten percent-encoded PEM certificates, leaf first, as AWS ALB passthrough and Kong's
// chain header send them. Blocks follow each other without blank lines.
func PEMPercentList(value string) ([][]byte, error) {
	if len(value) > maxValues {
		return nil, tooLarge("over 64 KiB")
	}
	text, err := unpercent(value)
	if err != nil {
		return nil, err
	}
	return scanPEM(text, maxCertificates, "\n", "\r\n")
}

// PEMFolded reads one PEM certificate whose line ends were each replaced by one space, as Apache's
// %{SSL_CLIENT_CERT}s sends it, and nginx's deprecated $ssl_client_cert once net/http has unfolded it. A tab or a
// bare LF in all of those places is read too; a mixture is not.
func PEMFolded(value string) ([][]byte, error) {
	if len(value) > maxValue {
		return nil, tooLarge("over 16 KiB")
	}
	return scanPEM(value, 1, " ", "\t", "\n")
}

// scanPEM reads one to limit CERTIFICATE blocks. The first line end decides which of ends is used throughout.
// The scanner of encoding/pem is refused: it skips text around a block and takes headers, and it has taken quadratic
// time on hostile text. The length of lines is free, since it has no bearing on which certificate is meant.
func scanPEM(text string, limit int, ends ...string) ([][]byte, error) {
	end := ""
	for _, e := range ends {
		if strings.HasPrefix(text, pemBegin+e) {
			end = e
		}
	}
	if end == "" {
		return nil, malformed("does not start with a PEM certificate")
	}
	var certs [][]byte
	for {
		if len(certs) == limit {
			return nil, limitReached(limit)
		}
		body, ok := strings.CutPrefix(text, pemBegin+end)
		if !ok {
			return nil, malformed("text around the PEM certificate")
		}
		body, rest, ok := strings.Cut(body, end+pemEnd)
		if !ok {
			return nil, malformed("PEM certificate without an end")
		}
		if strings.HasPrefix(body, end) || strings.HasSuffix(body, end) || strings.Contains(body, end+end) {
			return nil, malformed("blank line in the PEM certificate")
		}
		der, err := base64DER(strings.ReplaceAll(body, end, ""))
		if err != nil {
			return nil, err
		}
		certs = append(certs, der)
		if rest == "" || rest == end {
			return certs, nil
		}
		if text, ok = strings.CutPrefix(rest, end); !ok {
			return nil, malformed("text around the PEM certificate")
		}
	}
}

func limitReached(limit int) error {
	if limit == 1 {
		return malformed("text after the PEM certificate")
	}
	return tooLarge("more than 10 certificates")
}
