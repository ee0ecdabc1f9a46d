package proxy

// Base64PEM reads one certificate as standard base64 of its PEM text, as Fastly's tls.client.certificate.raw_certificate_b64, an
// iRule's b64encode of X509::whole and Apache's %{base64:…} write it. The base64 is as strict as that of [Base64DER], the text as
// that of [PEMPercent].
func Base64PEM(value string) ([][]byte, error) {
	if len(value) > maxValue {
		return nil, tooLarge("over 16 KiB")
	}
	text, err := strictBase64(value)
	if err != nil {
		return nil, err
	}
	return scanPEM(string(text), 1, "\n", "\r\n")
}
