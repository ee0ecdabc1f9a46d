package proxy_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/proxy"
)

func TestBase64DER(t *testing.T) {
	client := cert(t, "client")
	sent := value(t, "haproxy-der-base64")
	pads := b64(sequence(4)) // ends in "==": four pad bits
	if !strings.HasSuffix(pads, "AA==") {
		t.Fatal(pads)
	}
	tests := []struct {
		name, value string
		want        [][]byte
		class       error
	}{
		{"HAProxy", sent, [][]byte{client}, nil},
		{"Caddy", value(t, "caddy-der-base64"), [][]byte{client}, nil},
		{"Azure", value(t, "synth-azure-x-arr-clientcert"), [][]byte{client}, nil},
		{"Cloudflare", value(t, "synth-cloudflare-der-base64"), [][]byte{client}, nil},
		{"padding", pads, [][]byte{sequence(4)}, nil},
		{"empty", "", nil, proxy.ErrMalformed},
		{"one character", "M", nil, proxy.ErrMalformed},
		{"padding missing", strings.TrimRight(pads, "="), nil, proxy.ErrMalformed},
		{"padding half missing", pads[:len(pads)-1], nil, proxy.ErrMalformed},
		{"padding too much", pads + "=", nil, proxy.ErrMalformed},
		{"pad bits set", strings.Replace(pads, "AA==", "AB==", 1), nil, proxy.ErrMalformed},
		{"padding inside", "=" + sent[1:], nil, proxy.ErrMalformed},
		{"padding between", pads + sent, nil, proxy.ErrMalformed},
		{"URL alphabet", strings.NewReplacer("+", "-", "/", "_").Replace(sent), nil, proxy.ErrMalformed},
		{"space in front", " " + sent, nil, proxy.ErrMalformed},
		{"space inside", sent[:64] + " " + sent[64:], nil, proxy.ErrMalformed},
		{"tab inside", sent[:64] + "\t" + sent[64:], nil, proxy.ErrMalformed},
		{"LF inside", sent[:64] + "\n" + sent[64:], nil, proxy.ErrMalformed},
		{"CR inside", sent[:64] + "\r" + sent[64:], nil, proxy.ErrMalformed},
		{"CRLF at the end", sent + "\r\n", nil, proxy.ErrMalformed},
		{"percent-encoded", percent(sent), nil, proxy.ErrMalformed},
		{"list", sent + "," + sent, nil, proxy.ErrMalformed},
		{"lines merged", sent + ", " + sent, nil, proxy.ErrMalformed},
		{"trailing comma", sent + ",", nil, proxy.ErrMalformed},
		{"leading comma", "," + sent, nil, proxy.ErrMalformed},
		{"base64 of PEM", value(t, "apache-base64-of-pem"), nil, proxy.ErrMalformed},
		{"fingerprint", value(t, "caddy-2.11.9-nocert-fingerprint"), nil, proxy.ErrMalformed},
		{"16 KiB", b64(sequence(12 << 10)), [][]byte{sequence(12 << 10)}, nil},
		{"over 16 KiB", b64(sequence(12<<10 + 1)), nil, proxy.ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { checkEncoding(t, proxy.Base64DER, tt.value, tt.want, tt.class) })
	}
}

func TestBase64DERList(t *testing.T) {
	one := b64(sequence(40))
	many := func(n int) string { return strings.TrimSuffix(strings.Repeat(one+",", n), ",") }
	tests := []struct {
		name, value string
		want        [][]byte
		class       error
	}{
		{"Traefik, two", value(t, "traefik-pem-leaf-int"), certs(t, "client", "int"), nil},
		{"Traefik, RSA 4096", value(t, "traefik-pem-rsa4096-3"), certs(t, "rcli", "rint", "rca"), nil},
		{"one", b64(cert(t, "self")), certs(t, "self"), nil},
		{"ten", many(10), slices.Repeat([][]byte{sequence(40)}, 10), nil},
		{"eleven", many(11), nil, proxy.ErrTooLarge},
		{"thousands", many(1100), nil, proxy.ErrTooLarge},
		{"empty", "", nil, proxy.ErrMalformed},
		{"empty item", one + ",," + one, nil, proxy.ErrMalformed},
		{"leading comma", "," + one, nil, proxy.ErrMalformed},
		{"trailing comma", one + ",", nil, proxy.ErrMalformed},
		{"comma alone", ",", nil, proxy.ErrMalformed},
		{"space after a comma", one + ", " + one, nil, proxy.ErrMalformed},
		{"escaped, as before v2.9.2", value(t, "synth-traefik-2.9.1-queryescaped"), nil, proxy.ErrMalformed},
		{"info header", value(t, "traefik-info"), nil, proxy.ErrMalformed},
		{"over 64 KiB", strings.Repeat("A", 64<<10+1), nil, proxy.ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { checkEncoding(t, proxy.Base64DERList, tt.value, tt.want, tt.class) })
	}
}

func TestBase64DERBlob(t *testing.T) {
	blob := func(ders ...[]byte) string { return b64(bytes.Join(ders, nil)) }
	ca := cert(t, "int")
	tests := []struct {
		name, value string
		want        [][]byte
		class       error
	}{
		{"HAProxy", value(t, "haproxy-chain-der-base64"), certs(t, "int"), nil},
		{"HAProxy, RSA 4096", value(t, "haproxy-chain-der-base64-rsa4096"), certs(t, "rint", "rca"), nil},
		{"ten", blob(slices.Repeat([][]byte{ca}, 10)...), slices.Repeat([][]byte{ca}, 10), nil},
		{"eleven", blob(slices.Repeat([][]byte{ca}, 11)...), nil, proxy.ErrTooLarge},
		{"last one cut short", blob(ca, ca[:len(ca)-1]), nil, proxy.ErrMalformed},
		{"last one cut to a byte", blob(ca, ca[:1]), nil, proxy.ErrMalformed},
		{"trailing byte", blob(ca, []byte{0}), nil, proxy.ErrMalformed},
		{"empty", "", nil, proxy.ErrMalformed},
		{"not base64", "!", nil, proxy.ErrMalformed},
		{"list", b64(ca) + "," + b64(ca), nil, proxy.ErrMalformed},
		{"over 64 KiB", strings.Repeat("A", 64<<10+1), nil, proxy.ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { checkEncoding(t, proxy.Base64DERBlob, tt.value, tt.want, tt.class) })
	}
}

// The certificates of a blob share its memory, but none can grow into the next one.
func TestBase64DERBlobKeepsApart(t *testing.T) {
	got, err := proxy.Base64DERBlob(value(t, "haproxy-chain-der-base64-rsa4096"))
	if err != nil {
		t.Fatal(err)
	}
	_ = append(got[0], 0)
	if !bytes.Equal(got[1], cert(t, "rca")) {
		t.Error("appending to one certificate changed the next")
	}
}

func FuzzBase64DER(f *testing.F) {
	for _, v := range allValues(f) {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, value string) {
		encode := func(ders [][]byte) string { return b64(ders[0]) }
		if got, ok := roundTrip(t, proxy.Base64DER, encode, value); ok && (len(got) != 1 || encode(got) != value) {
			t.Errorf("two texts for one certificate")
		}
	})
}

func FuzzBase64DERList(f *testing.F) {
	for _, v := range allValues(f) {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, value string) {
		encode := func(ders [][]byte) string { return list(",", b64, ders) }
		if got, ok := roundTrip(t, proxy.Base64DERList, encode, value); ok && encode(got) != value {
			t.Errorf("two texts for one list")
		}
	})
}

func FuzzBase64DERBlob(f *testing.F) {
	for _, v := range allValues(f) {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, value string) {
		encode := func(ders [][]byte) string { return b64(bytes.Join(ders, nil)) }
		if got, ok := roundTrip(t, proxy.Base64DERBlob, encode, value); ok && encode(got) != value {
			t.Errorf("two texts for one chain")
		}
	})
}
