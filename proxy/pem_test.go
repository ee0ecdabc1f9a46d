package proxy_test

import (
	"bufio"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/proxy"
)

func TestPEMPercent(t *testing.T) {
	client, self := cert(t, "client"), cert(t, "self")
	sent := value(t, "nginx-escaped_cert")
	text := pemText(client)
	crlf := strings.ReplaceAll(text, "\n", "\r\n")
	body := strings.TrimSuffix(strings.TrimPrefix(text, "-----BEGIN CERTIFICATE-----\n"), "-----END CERTIFICATE-----\n")
	accepted := map[string]string{
		"nginx":               sent,
		"nginx, RSA 4096":     "",
		"ALB, safe literal":   value(t, "synth-aws-alb-leaf-safechars"),
		"ALB, %3D":            value(t, "synth-aws-alb-leaf-pct3D"),
		"Apache, lower case":  value(t, "apache-escape"),
		"plus literal":        strings.ReplaceAll(sent, "%2B", "+"),
		"no final line end":   strings.TrimSuffix(sent, "%0A"),
		"CRLF":                percent(crlf),
		"CRLF, no final one":  percent(strings.TrimSuffix(crlf, "\r\n")),
		"everything encoded":  encodeAll(text),
		"one line of base64":  percent("-----BEGIN CERTIFICATE-----\n" + b64(client) + "\n-----END CERTIFICATE-----\n"),
		"padding, both forms": "self",
	}
	for name, v := range accepted {
		t.Run(name, func(t *testing.T) {
			switch v {
			case "":
				checkEncoding(t, proxy.PEMPercent, value(t, "nginx-escaped_cert-rsa4096"), certs(t, "rcli"), nil)
			case "self":
				checkEncoding(t, proxy.PEMPercent, percentPEM(self), certs(t, "self"), nil)
				checkEncoding(t, proxy.PEMPercent, strings.ReplaceAll(percentPEM(self), "%3D", "="), certs(t, "self"), nil)
			default:
				checkEncoding(t, proxy.PEMPercent, v, [][]byte{client}, nil)
			}
		})
	}
	refused := map[string]string{
		"empty":                    "",
		"not encoded":              text,
		"spaces not encoded":       strings.ReplaceAll(sent, "%20", " "),
		"plus for space":           strings.ReplaceAll(sent, "%20", "+"),
		"percent at the end":       sent + "%",
		"one digit":                sent + "%4",
		"one digit inside":         strings.Replace(sent, "%20", "%2", 1),
		"no hexadecimal digits":    strings.Replace(sent, "%20", "%zz", 1),
		"digit beyond F, first":    strings.Replace(sent, "%20", "%I0", 1), // 18, whose low bits are a 2
		"digit beyond F, second":   strings.Replace(sent, "%20", "%2W", 1), // 32, whose low bits are a 0
		"second digit bad":         strings.Replace(sent, "%20", "%2g", 1),
		"double encoding":          strings.ReplaceAll(sent, "%2B", "%252B"),
		"encoded twice":            percent(sent),
		"%u form":                  strings.Replace(sent, "%2B", "%u002b", 1),
		"NUL":                      strings.Replace(sent, "%0A", "%0A%00", 1),
		"CR at some line ends":     strings.Replace(sent, "%0A", "%0D%0A", 2),
		"CR at the first line end": strings.Replace(sent, "%0A", "%0D%0A", 1),
		"CR at the end":            sent + "%0D",
		"CR inside":                percent(strings.Replace(text, "MII", "M\rII", 1)),
		"LF inside CRLF":           percent(strings.Replace(crlf, "MII", "M\nII", 1)),
		"tab":                      percent(strings.Replace(text, "MII", "\tMII", 1)),
		"raw control character":    strings.Replace(sent, "%0A", "\n", 1),
		"raw DEL":                  sent + "\x7f",
		"encoded DEL":              sent + "%7F",
		"encoded non-ASCII":        sent + "%C3%A9",
		"raw non-ASCII":            sent + "é",
		"lines merged":             sent + ", " + sent,
		"list":                     sent + "," + sent,
		"encoded comma":            sent + "%2C" + sent,
		"trailing comma":           sent + ",",
		"leading comma":            "," + sent,
		"folded":                   percent(foldedPEM(client)),
		"private key":              percent(strings.ReplaceAll(text, "CERTIFICATE", "PRIVATE KEY")),
		"X509 certificate":         percent(strings.ReplaceAll(text, "CERTIFICATE", "X509 CERTIFICATE")),
		"trusted certificate":      percent(strings.ReplaceAll(text, "CERTIFICATE", "TRUSTED CERTIFICATE")),
		"other type at the end":    percent(strings.Replace(text, "END CERTIFICATE", "END X509", 1)),
		"lower case":               percent(strings.ToLower(text)),
		"PEM header":               percent(strings.Replace(text, "MII", "Proc-Type: 4,ENCRYPTED\n\nMII", 1)),
		"PEM header, no blank":     percent(strings.Replace(text, "MII", "Proc-Type:4\nMII", 1)),
		"text before":              percent("x\n" + text),
		"line before":              percent("\n" + text),
		"text after":               percent(text + "x"),
		"line after":               percent(text + "\n"),
		"space after":              percent(text + " "),
		"two blocks":               percent(text + text),
		"end missing":              percent(strings.TrimSuffix(text, "-----END CERTIFICATE-----\n")),
		"end and line end missing": percent("-----BEGIN CERTIFICATE-----\n" + b64(client)),
		"begin missing":            percent(strings.TrimPrefix(text, "-----BEGIN CERTIFICATE-----\n")),
		"markers alone":            percent("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"),
		"nested begin":             percent("-----BEGIN CERTIFICATE-----\n" + text),
		"no line end after begin":  percent(strings.Replace(text, "-----\nMII", "-----MII", 1)),
		"no line end before end":   percent(strings.TrimSuffix(text, "\n-----END CERTIFICATE-----\n") + "-----END CERTIFICATE-----\n"),
		"four dashes":              percent(strings.Replace(text, "-----BEGIN", "----BEGIN", 1)),
		"blank line first":         percent("-----BEGIN CERTIFICATE-----\n\n" + body + "-----END CERTIFICATE-----\n"),
		"blank line last":          percent("-----BEGIN CERTIFICATE-----\n" + body + "\n-----END CERTIFICATE-----\n"),
		"blank line inside":        percent(strings.Replace(text, "MII", "MII\n\n", 1)),
		"space inside":             percent(strings.Replace(text, "MII", "MII ", 1)),
		"(null)":                   "(null)",
		"base64":                   b64(client),
	}
	for name, v := range refused {
		t.Run(name, func(t *testing.T) { checkEncoding(t, proxy.PEMPercent, v, nil, proxy.ErrMalformed) })
	}
	for v, want := range map[string]string{
		sent + "%4": "bad percent-encoding", text: "character that must be percent-encoded",
		b64(client): "does not start with a PEM certificate",
	} {
		if _, err := proxy.PEMPercent(v); err == nil || !strings.HasSuffix(err.Error(), ": "+want) {
			t.Errorf("%.40q: got %v, want %s", v, err, want)
		}
	}
	t.Run("over 16 KiB", func(t *testing.T) {
		checkEncoding(t, proxy.PEMPercent, strings.Repeat("A", 16<<10), nil, proxy.ErrMalformed)
		checkEncoding(t, proxy.PEMPercent, strings.Repeat("A", 16<<10+1), nil, proxy.ErrTooLarge)
	})
}

// encodeAll percent-encodes every byte, in lower case.
func encodeAll(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		b.WriteString("%" + string("0123456789abcdef"[c>>4]) + string("0123456789abcdef"[c&15]))
	}
	return b.String()
}

func TestPEMPercentList(t *testing.T) {
	ca := cert(t, "int")
	text := pemText(ca)
	headless := strings.TrimPrefix(text, "-----BEGIN CERTIFICATE-----\n")
	tests := []struct {
		name, value string
		want        [][]byte
		class       error
	}{
		{"ALB", value(t, "synth-aws-alb-passthrough-chain"), certs(t, "client", "int"), nil},
		{"one", value(t, "synth-aws-alb-leaf-safechars"), certs(t, "client"), nil},
		{"no final line end", strings.TrimSuffix(percentPEM(ca, ca), "%0A"), [][]byte{ca, ca}, nil},
		{"CRLF", percent(strings.ReplaceAll(text+text, "\n", "\r\n")), [][]byte{ca, ca}, nil},
		{"ten", percentPEM(slices.Repeat([][]byte{ca}, 10)...), slices.Repeat([][]byte{ca}, 10), nil},
		{"eleven", percentPEM(slices.Repeat([][]byte{ca}, 11)...), nil, proxy.ErrTooLarge},
		{"empty", "", nil, proxy.ErrMalformed},
		{"bad escape", "%", nil, proxy.ErrMalformed},
		{"blank line between", percent(text + "\n" + text), nil, proxy.ErrMalformed},
		{"text between", percent(text + "x\n" + text), nil, proxy.ErrMalformed},
		{"no line end between", percent(strings.TrimSuffix(text, "\n") + text), nil, proxy.ErrMalformed},
		{"mixed line ends", percent(text + strings.ReplaceAll(text, "\n", "\r\n")), nil, proxy.ErrMalformed},
		{"text after", percent(text + text + "x"), nil, proxy.ErrMalformed},
		{"second one a key", percent(text + strings.ReplaceAll(text, "CERTIFICATE", "PRIVATE KEY")), nil, proxy.ErrMalformed},
		{"second one without a beginning", percent(text + headless), nil, proxy.ErrMalformed},
		{"second one without an end", percent(text + "-----BEGIN CERTIFICATE-----\nMII\n"), nil, proxy.ErrMalformed},
		{"lines merged", percent(text) + ", " + percent(text), nil, proxy.ErrMalformed},
		{"over 64 KiB", strings.Repeat("A", 64<<10+1), nil, proxy.ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { checkEncoding(t, proxy.PEMPercentList, tt.value, tt.want, tt.class) })
	}
}

func TestPEMFolded(t *testing.T) {
	client := cert(t, "client")
	sent := value(t, "apache-ssl_client_cert")
	raw := value(t, "nginx-ssl_client_cert-deprecated-rawbytes")
	tests := []struct {
		name, value string
		want        [][]byte
		class       error
	}{
		{"Apache", sent, [][]byte{client}, nil},
		{"Apache, chain", value(t, "apache-chain_0"), certs(t, "int"), nil},
		{"trailing space gone", strings.TrimSuffix(sent, " "), [][]byte{client}, nil},
		{"tabs", strings.ReplaceAll(pemText(client), "\n", "\t"), [][]byte{client}, nil},
		{"LF", pemText(client), [][]byte{client}, nil},
		{"two trailing spaces", sent + " ", nil, proxy.ErrMalformed},
		{"leading space", " " + sent, nil, proxy.ErrMalformed},
		{"LF and tab, not unfolded", raw, nil, proxy.ErrMalformed},
		{"CRLF", strings.ReplaceAll(pemText(client), "\n", "\r\n"), nil, proxy.ErrMalformed},
		{"double spaces", strings.ReplaceAll(pemText(client), "\n", "  "), nil, proxy.ErrMalformed},
		{"spaces and tabs", strings.Replace(sent, "w LDEM", "w\tLDEM", 1), nil, proxy.ErrMalformed},
		{"space in the marker missing", strings.Replace(sent, "BEGIN CERT", "BEGINCERT", 1), nil, proxy.ErrMalformed},
		{"two blocks", sent + sent, nil, proxy.ErrMalformed},
		{"lines merged", sent + ", " + sent, nil, proxy.ErrMalformed},
		{"percent-encoded", value(t, "nginx-escaped_cert"), nil, proxy.ErrMalformed},
		{"empty", "", nil, proxy.ErrMalformed},
		{"(null)", "(null)", nil, proxy.ErrMalformed},
		{"over 16 KiB", strings.Repeat("A", 16<<10+1), nil, proxy.ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { checkEncoding(t, proxy.PEMFolded, tt.value, tt.want, tt.class) })
	}
	t.Run("unfolded by net/http", func(t *testing.T) {
		wire := "GET / HTTP/1.1\r\nHost: a\r\nX-SSL-Client-Cert: " + raw + "\r\n\r\n"
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(wire)))
		if err != nil {
			t.Fatal(err)
		}
		checkEncoding(t, proxy.PEMFolded, r.Header.Get("X-SSL-Client-Cert"), [][]byte{client}, nil)
	})
}

func FuzzPEMPercent(f *testing.F) {
	for _, v := range allValues(f) {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, value string) {
		encode := func(ders [][]byte) string { return compactPEM(ders...) }
		if got, ok := roundTrip(t, proxy.PEMPercent, encode, value); ok && len(got) != 1 {
			t.Errorf("%d certificates, want 1", len(got))
		}
	})
}

func FuzzPEMPercentList(f *testing.F) {
	for _, v := range allValues(f) {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, value string) {
		encode := func(ders [][]byte) string { return compactPEM(ders...) }
		roundTrip(t, proxy.PEMPercentList, encode, value)
	})
}

func FuzzPEMFolded(f *testing.F) {
	for _, v := range allValues(f) {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, value string) {
		encode := func(ders [][]byte) string {
			return "-----BEGIN CERTIFICATE----- " + b64(ders[0]) + " -----END CERTIFICATE-----"
		}
		if got, ok := roundTrip(t, proxy.PEMFolded, encode, value); ok && len(got) != 1 {
			t.Errorf("%d certificates, want 1", len(got))
		}
	})
}
