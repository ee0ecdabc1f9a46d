package forwarded_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/forwarded"
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
		{"empty", "", nil, forwarded.ErrMalformed},
		{"one character", "M", nil, forwarded.ErrMalformed},
		{"padding missing", strings.TrimRight(pads, "="), nil, forwarded.ErrMalformed},
		{"padding half missing", pads[:len(pads)-1], nil, forwarded.ErrMalformed},
		{"padding too much", pads + "=", nil, forwarded.ErrMalformed},
		{"pad bits set", strings.Replace(pads, "AA==", "AB==", 1), nil, forwarded.ErrMalformed},
		{"padding inside", "=" + sent[1:], nil, forwarded.ErrMalformed},
		{"padding between", pads + sent, nil, forwarded.ErrMalformed},
		{"URL alphabet", strings.NewReplacer("+", "-", "/", "_").Replace(sent), nil, forwarded.ErrMalformed},
		{"space in front", " " + sent, nil, forwarded.ErrMalformed},
		{"space inside", sent[:64] + " " + sent[64:], nil, forwarded.ErrMalformed},
		{"tab inside", sent[:64] + "\t" + sent[64:], nil, forwarded.ErrMalformed},
		{"LF inside", sent[:64] + "\n" + sent[64:], nil, forwarded.ErrMalformed},
		{"CR inside", sent[:64] + "\r" + sent[64:], nil, forwarded.ErrMalformed},
		{"CRLF at the end", sent + "\r\n", nil, forwarded.ErrMalformed},
		{"percent-encoded", percent(sent), nil, forwarded.ErrMalformed},
		{"list", sent + "," + sent, nil, forwarded.ErrMalformed},
		{"lines merged", sent + ", " + sent, nil, forwarded.ErrMalformed},
		{"trailing comma", sent + ",", nil, forwarded.ErrMalformed},
		{"leading comma", "," + sent, nil, forwarded.ErrMalformed},
		{"base64 of PEM", value(t, "apache-base64-of-pem"), nil, forwarded.ErrMalformed},
		{"fingerprint", value(t, "caddy-2.11.9-nocert-fingerprint"), nil, forwarded.ErrMalformed},
		{"16 KiB", b64(sequence(12 << 10)), [][]byte{sequence(12 << 10)}, nil},
		{"over 16 KiB", b64(sequence(12<<10 + 1)), nil, forwarded.ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { checkEncoding(t, forwarded.Base64DER, tt.value, tt.want, tt.class) })
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
		{"eleven", many(11), nil, forwarded.ErrTooLarge},
		{"thousands", many(1100), nil, forwarded.ErrTooLarge},
		{"empty", "", nil, forwarded.ErrMalformed},
		{"empty item", one + ",," + one, nil, forwarded.ErrMalformed},
		{"leading comma", "," + one, nil, forwarded.ErrMalformed},
		{"trailing comma", one + ",", nil, forwarded.ErrMalformed},
		{"comma alone", ",", nil, forwarded.ErrMalformed},
		{"space after a comma", one + ", " + one, nil, forwarded.ErrMalformed},
		{"escaped, as before v2.9.2", value(t, "synth-traefik-2.9.1-queryescaped"), nil, forwarded.ErrMalformed},
		{"info header", value(t, "traefik-info"), nil, forwarded.ErrMalformed},
		{"over 64 KiB", strings.Repeat("A", 64<<10+1), nil, forwarded.ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { checkEncoding(t, forwarded.Base64DERList, tt.value, tt.want, tt.class) })
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
		{"eleven", blob(slices.Repeat([][]byte{ca}, 11)...), nil, forwarded.ErrTooLarge},
		{"last one cut short", blob(ca, ca[:len(ca)-1]), nil, forwarded.ErrMalformed},
		{"last one cut to a byte", blob(ca, ca[:1]), nil, forwarded.ErrMalformed},
		{"trailing byte", blob(ca, []byte{0}), nil, forwarded.ErrMalformed},
		{"empty", "", nil, forwarded.ErrMalformed},
		{"not base64", "!", nil, forwarded.ErrMalformed},
		{"list", b64(ca) + "," + b64(ca), nil, forwarded.ErrMalformed},
		{"over 64 KiB", strings.Repeat("A", 64<<10+1), nil, forwarded.ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { checkEncoding(t, forwarded.Base64DERBlob, tt.value, tt.want, tt.class) })
	}
}

// The certificates of a blob share its memory, but none can grow into the next one.
func TestBase64DERBlobKeepsApart(t *testing.T) {
	got, err := forwarded.Base64DERBlob(value(t, "haproxy-chain-der-base64-rsa4096"))
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
		if got, ok := roundTrip(t, forwarded.Base64DER, encode, value); ok && (len(got) != 1 || encode(got) != value) {
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
		if got, ok := roundTrip(t, forwarded.Base64DERList, encode, value); ok && encode(got) != value {
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
		if got, ok := roundTrip(t, forwarded.Base64DERBlob, encode, value); ok && encode(got) != value {
			t.Errorf("two texts for one chain")
		}
	})
}
