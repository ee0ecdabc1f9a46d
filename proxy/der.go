package proxy

// Limits, checked before the work that they bound. They hold what proxies send with room to spare: a certificate
// with an RSA-4096 key takes 2 KiB, one with an ML-DSA-87 key about 10 KiB.
const (
	maxValue        = 16 << 10 // bytes of a value that holds one certificate
	maxValues       = 64 << 10 // bytes of all certificate headers together
	maxDER          = 16 << 10 // bytes of one certificate
	maxCertificates = 10       // certificates of one header
	maxVerdict      = 128      // bytes of a verdict
)

// cutDER splits one DER SEQUENCE off the front of b. Only the outer tag and length are read: they must be definite
// and minimal (X.690, section 10.1), so that a certificate has one encoding and a thumbprint one certificate.
// Whether the inside is X.509 is for a parser to say.
func cutDER(b []byte) (sequence, rest []byte, err error) {
	if len(b) < 2 || b[0] != 0x30 {
		return nil, nil, malformed("not a DER sequence")
	}
	size, header := int(b[1]), 2
	switch {
	case size < 0x80:
	case size == 0x81 && len(b) >= 3 && b[2] >= 0x80:
		size, header = int(b[2]), 3
	case size == 0x82 && len(b) >= 4 && b[2] != 0:
		size, header = int(b[2])<<8|int(b[3]), 4
	default: // indefinite, not minimal, cut short, or three and more bytes: beyond maxDER
		return nil, nil, malformed("bad DER length")
	}
	if size > len(b)-header {
		return nil, nil, malformed("DER cut short")
	}
	if header+size > maxDER {
		return nil, nil, tooLarge("certificate over 16 KiB")
	}
	return b[: header+size : header+size], b[header+size:], nil
}

// oneDER requires b to be exactly one DER SEQUENCE.
func oneDER(b []byte) ([]byte, error) {
	sequence, rest, err := cutDER(b)
	if err != nil {
		return nil, err
	}
	if len(rest) != 0 {
		return nil, malformed("bytes after the certificate")
	}
	return sequence, nil
}
