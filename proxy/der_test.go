package proxy_test

import (
	"bytes"
	"testing"

	"github.com/seed-171ab058/popauth/proxy"
)

// Every certificate passes one check of its outer shape; base64 is the shortest way to it.
func TestCertificateIsOneSequence(t *testing.T) {
	client := cert(t, "client")
	tests := []struct {
		name  string
		der   []byte
		class error
	}{
		{"certificate", client, nil},
		{"empty sequence", sequence(2), nil},
		{"127 bytes inside", sequence(129), nil},
		{"128 bytes inside", sequence(131), nil},
		{"255 bytes inside", sequence(258), nil},
		{"256 bytes inside", sequence(260), nil},
		{"nested deeply, not parsed", nested(2000), nil},
		{"largest", sequence(12 << 10), nil},
		{"nothing", nil, proxy.ErrMalformed},
		{"tag alone", []byte{0x30}, proxy.ErrMalformed},
		{"SET", append([]byte{0x31}, client[1:]...), proxy.ErrMalformed},
		{"PEM text", []byte(pemText(client)), proxy.ErrMalformed},
		{"trailing byte", append(bytes.Clone(client), 0), proxy.ErrMalformed},
		{"two certificates", append(bytes.Clone(client), client...), proxy.ErrMalformed},
		{"cut short", client[:len(client)-1], proxy.ErrMalformed},
		{"indefinite length", append(append([]byte{0x30, 0x80}, client[4:]...), 0, 0), proxy.ErrMalformed},
		{"long form of a short length", []byte{0x30, 0x81, 0x01, 0x00}, proxy.ErrMalformed},
		{"length with a leading zero", append([]byte{0x30, 0x82, 0x00, 0xff}, make([]byte, 255)...), proxy.ErrMalformed},
		{"length with two leading zeros", append([]byte{0x30, 0x83, 0x00, 0x01, 0x00}, make([]byte, 256)...), proxy.ErrMalformed},
		{"one length byte missing", []byte{0x30, 0x81}, proxy.ErrMalformed},
		{"two length bytes missing", []byte{0x30, 0x82, 0x01}, proxy.ErrMalformed},
		{"huge length", []byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x00}, proxy.ErrMalformed},
		{"overflowing length", []byte{0x30, 0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, proxy.ErrMalformed},
		{"reserved length", []byte{0x30, 0xff, 0x00}, proxy.ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var want [][]byte
			if tt.class == nil {
				want = [][]byte{tt.der}
			}
			checkEncoding(t, proxy.Base64DER, b64(tt.der), want, tt.class)
		})
	}
	t.Run("16 KiB", func(t *testing.T) {
		der := sequence(16 << 10)
		checkEncoding(t, proxy.Base64DERList, b64(der), [][]byte{der}, nil)
		checkEncoding(t, proxy.Base64DERList, b64(sequence(16<<10+1)), nil, proxy.ErrTooLarge)
	})
}

// nested returns a sequence that holds a sequence, and so on.
func nested(depth int) []byte {
	der := []byte{}
	for range depth {
		outer := sequence(len(der) + 2)
		switch {
		case len(der) >= 0x100:
			outer = sequence(len(der) + 4)
		case len(der) >= 0x80:
			outer = sequence(len(der) + 3)
		}
		der = append(outer[:len(outer)-len(der)], der...)
	}
	return der
}
