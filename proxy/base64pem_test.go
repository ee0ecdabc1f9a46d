package proxy_test

import (
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/proxy"
)

func TestBase64PEM(t *testing.T) {
	client, between := cert(t, "client"), cert(t, "int")
	sent := value(t, "apache-base64-of-pem")
	of := func(text string) string { return b64([]byte(text)) }
	for _, tt := range []struct {
		name, sent string
		want       [][]byte
		class      error
	}{
		{"captured from Apache", sent, [][]byte{client}, nil},
		{"CRLF", of(strings.ReplaceAll(pemText(client), "\n", "\r\n")), [][]byte{client}, nil},
		{"no last line end", of(strings.TrimSpace(pemText(client))), [][]byte{client}, nil},
		{"two", of(pemText(client, between)), nil, proxy.ErrMalformed},
		{"text before", of("x\n" + pemText(client)), nil, proxy.ErrMalformed},
		{"folded", of(foldedPEM(client)), nil, proxy.ErrMalformed},
		{"another block", of(strings.ReplaceAll(pemText(client), "CERTIFICATE", "PRIVATE KEY")), nil, proxy.ErrMalformed},
		{"DER", b64(client), nil, proxy.ErrMalformed},
		{"PEM itself", pemText(client), nil, proxy.ErrMalformed},
		{"percent-encoded", percentPEM(client), nil, proxy.ErrMalformed},
		{"two lines joined", sent + ", " + sent, nil, proxy.ErrMalformed},
		{"line break", sent[:64] + "\n" + sent[64:], nil, proxy.ErrMalformed},
		{"no padding", strings.TrimRight(of(pemText(client)+"\n"), "="), nil, proxy.ErrMalformed},
		{"empty", "", nil, proxy.ErrMalformed},
		{"large", strings.Repeat("A", 16<<10+4), nil, proxy.ErrTooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) { checkEncoding(t, proxy.Base64PEM, tt.sent, tt.want, tt.class) })
	}
}

func FuzzBase64PEM(f *testing.F) {
	for _, v := range allValues(f) {
		f.Add(v)
	}
	f.Add(b64([]byte(pemText(sequence(5)))))
	f.Fuzz(func(t *testing.T, sent string) {
		got, ok := roundTrip(t, proxy.Base64PEM, func(ders [][]byte) string { return b64([]byte(pemText(ders...))) }, sent)
		if ok && len(got) != 1 {
			t.Fatalf("%d certificates", len(got))
		}
	})
}
