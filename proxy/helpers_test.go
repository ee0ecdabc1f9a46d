package proxy_test

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/proxy"
)

// value returns the header value in testdata/values.
func value(tb testing.TB, name string) string {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "values", name+".txt"))
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

// allValues returns every header value in testdata/values: the seeds of the fuzz targets.
func allValues(tb testing.TB) []string {
	tb.Helper()
	files, err := filepath.Glob("testdata/values/*.txt")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no values: %v", err)
	}
	var values []string
	for _, file := range files {
		values = append(values, value(tb, strings.TrimSuffix(filepath.Base(file), ".txt")))
	}
	// Short ones are changed into other values that pass far more often.
	one, two := sequence(5), [][]byte{sequence(4), sequence(6)}
	return append(values, b64(one), list(",", b64, two), b64(slices.Concat(two...)),
		byteSequence(one), list(", ", byteSequence, two), percentPEM(one), compactPEM(two...), foldedPEM(one),
		hash(one)+`;Cert="`+compactPEM(one)+`"`)
}

// cert returns the DER of the certificate in testdata/certs.
func cert(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "certs", name+".crt"))
	if err != nil {
		tb.Fatal(err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		tb.Fatalf("%s: no PEM", name)
	}
	return block.Bytes
}

// certs returns several certificates.
func certs(tb testing.TB, names ...string) [][]byte {
	tb.Helper()
	var out [][]byte
	for _, name := range names {
		out = append(out, cert(tb, name))
	}
	return out
}

// header builds a header from names and values; a name may come again.
func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func b64(der []byte) string { return base64.StdEncoding.EncodeToString(der) }

func byteSequence(der []byte) string { return ":" + b64(der) + ":" }

func list(separator string, encode func([]byte) string, ders [][]byte) string {
	var items []string
	for _, der := range ders {
		items = append(items, encode(der))
	}
	return strings.Join(items, separator)
}

func pemText(ders ...[]byte) string {
	var b strings.Builder
	for _, der := range ders {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	return b.String()
}

// percent encodes as nginx does: everything but unreserved characters, in upper case.
func percent(text string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(text) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteString(string([]byte{'%', digits[c>>4], digits[c&15]}))
	}
	return b.String()
}

func percentPEM(ders ...[]byte) string { return percent(pemText(ders...)) }

// compactPEM is the shortest text that the percent encodings take, so that encoding again stays within the limits.
func compactPEM(ders ...[]byte) string {
	var blocks []string
	for _, der := range ders {
		blocks = append(blocks, "-----BEGIN%20CERTIFICATE-----%0A"+b64(der)+"%0A-----END%20CERTIFICATE-----")
	}
	return strings.Join(blocks, "%0A")
}

func foldedPEM(der []byte) string { return strings.ReplaceAll(pemText(der), "\n", " ") }

// sequence is the smallest DER that the package takes for a certificate of the given size, 0 standing for any.
func sequence(size int) []byte {
	switch {
	case size < 0x80+2:
		size = max(size, 2)
		return append([]byte{0x30, byte(size - 2)}, make([]byte, size-2)...)
	case size < 0x100+3:
		return append([]byte{0x30, 0x81, byte(size - 3)}, make([]byte, size-3)...)
	default:
		return append([]byte{0x30, 0x82, byte((size - 4) >> 8), byte(size - 4)}, make([]byte, size-4)...)
	}
}

// outcome is what a decoding is compared by.
type outcome struct {
	leaf     []byte
	chain    [][]byte
	verified bool
	err      error // a class
}

func check(tb testing.TB, f proxy.Format, h http.Header, want outcome) {
	tb.Helper()
	got, err := f.Decode(h)
	if !errors.Is(err, want.err) || (err == nil) != (want.err == nil) {
		tb.Fatalf("%s: error: got %v, want %v", f.Name(), err, want.err)
	}
	if err != nil && (got.Leaf != nil || got.Chain != nil || got.Verified) {
		tb.Errorf("%s: got %+v beside an error", f.Name(), got)
	}
	if !bytes.Equal(got.Leaf, want.leaf) || (got.Leaf == nil) != (want.leaf == nil) {
		tb.Errorf("%s: leaf: got %d bytes, want %d", f.Name(), len(got.Leaf), len(want.leaf))
	}
	if !slices.EqualFunc(got.Chain, want.chain, bytes.Equal) {
		tb.Errorf("%s: chain: got %d certificates, want %d", f.Name(), len(got.Chain), len(want.chain))
	}
	if got.Verified != want.verified {
		tb.Errorf("%s: verified: got %v, want %v", f.Name(), got.Verified, want.verified)
	}
}

// checkEncoding decodes value and compares the certificates and the class of the error.
func checkEncoding(tb testing.TB, decode proxy.Encoding, value string, want [][]byte, class error) {
	tb.Helper()
	got, err := decode(value)
	if !errors.Is(err, class) || (err == nil) != (class == nil) {
		tb.Fatalf("error: got %v, want %v", err, class)
	}
	if !slices.EqualFunc(got, want, bytes.Equal) {
		tb.Errorf("got %d certificates, want %d, or other ones", len(got), len(want))
	}
}

// oneSequence fails unless der is one DER SEQUENCE by a reading that is not the package's.
func oneSequence(tb testing.TB, der []byte) {
	tb.Helper()
	var size, header int
	switch {
	case len(der) >= 2 && der[1] < 0x80:
		size, header = int(der[1]), 2
	case len(der) >= 3 && der[1] == 0x81:
		size, header = int(der[2]), 3
	case len(der) >= 4 && der[1] == 0x82:
		size, header = int(der[2])<<8+int(der[3]), 4
	}
	if header == 0 || der[0] != 0x30 || len(der) != header+size || !bytes.Equal(der[:header], sequence(len(der))[:header]) {
		tb.Fatalf("accepted something else than one DER sequence of minimal length: %d bytes", len(der))
	}
}

// roundTrip is the property of every encoding: what it accepts is whole certificates, which encode again and decode
// to the same. It returns what was accepted.
func roundTrip(tb testing.TB, decode proxy.Encoding, encode func([][]byte) string, value string) ([][]byte, bool) {
	tb.Helper()
	got, err := decode(value)
	if err != nil {
		if got != nil {
			tb.Fatal("certificates beside an error")
		}
		if !errors.Is(err, proxy.ErrMalformed) && !errors.Is(err, proxy.ErrTooLarge) {
			tb.Fatalf("error of no class: %v", err)
		}
		return nil, false
	}
	if len(got) == 0 || len(got) > 10 {
		tb.Fatalf("%d certificates", len(got))
	}
	for _, der := range got {
		oneSequence(tb, der)
	}
	again, err := decode(encode(got))
	if err != nil || !slices.EqualFunc(got, again, bytes.Equal) {
		tb.Fatalf("encoded again: %d certificates, %v; want the same %d", len(again), err, len(got))
	}
	return got, true
}
