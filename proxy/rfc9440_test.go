package proxy_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/dunglas/httpsfv"

	"github.com/seed-171ab058/popauth/proxy"
)

func TestByteSequence(t *testing.T) {
	client := cert(t, "client")
	sent := value(t, "haproxy-rfc9440")
	tests := []struct {
		name, value string
		want        [][]byte
		class       error
	}{
		{"HAProxy", sent, [][]byte{client}, nil},
		{"nginx with Lua", value(t, "nginx-lua-rfc9440"), [][]byte{client}, nil},
		{"Apache", value(t, "apache-rfc9440"), [][]byte{client}, nil},
		{"Google Cloud", value(t, "synth-gcp-client_cert_leaf"), [][]byte{client}, nil},
		{"parameters", value(t, "synth-rfc9440-params"), nil, proxy.ErrMalformed},
		{"flag parameter", sent + ";a", nil, proxy.ErrMalformed},
		{"no colons", strings.Trim(sent, ":"), nil, proxy.ErrMalformed},
		{"first colon missing", sent[1:], nil, proxy.ErrMalformed},
		{"last colon missing", sent[:len(sent)-1], nil, proxy.ErrMalformed},
		{"first character another", "x" + sent[1:], nil, proxy.ErrMalformed},
		{"last character another", sent[:len(sent)-1] + "x", nil, proxy.ErrMalformed},
		{"one colon", ":", nil, proxy.ErrMalformed},
		{"delimiters alone", "::", nil, proxy.ErrMalformed},
		{"empty", "", nil, proxy.ErrMalformed},
		{"space in front", " " + sent, nil, proxy.ErrMalformed},
		{"space after", sent + " ", nil, proxy.ErrMalformed},
		{"line break inside", sent[:65] + "\n" + sent[65:], nil, proxy.ErrMalformed},
		{"inner list", "(" + sent + ")", nil, proxy.ErrMalformed},
		{"list", sent + "," + sent, nil, proxy.ErrMalformed},
		{"lines merged", sent + ", " + sent, nil, proxy.ErrMalformed},
		{"token", "MIIC", nil, proxy.ErrMalformed},
		{"string", `"` + b64(client) + `"`, nil, proxy.ErrMalformed},
		{"integer", "12", nil, proxy.ErrMalformed},
		{"boolean", "?1", nil, proxy.ErrMalformed},
		{"date", "@1659578233", nil, proxy.ErrMalformed},
		{"no certificate inside", ":aGVsbG8=:", nil, proxy.ErrMalformed},
		{"padding missing", ":" + strings.TrimRight(b64(sequence(4)), "=") + ":", nil, proxy.ErrMalformed},
		{"pad bits set", ":" + strings.Replace(b64(sequence(4)), "AA==", "AB==", 1) + ":", nil, proxy.ErrMalformed},
		{"placeholder", ":{http.request.tls.client.certificate_der_base64}:", nil, proxy.ErrMalformed},
		{"over 16 KiB", strings.Repeat("A", 16<<10+1), nil, proxy.ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { checkEncoding(t, proxy.ByteSequence, tt.value, tt.want, tt.class) })
	}
}

func TestByteSequenceList(t *testing.T) {
	one := byteSequence(sequence(40))
	many := func(n int) string { return strings.TrimSuffix(strings.Repeat(one+", ", n), ", ") }
	tests := []struct {
		name, value string
		want        [][]byte
		class       error
	}{
		{"two", value(t, "synth-rfc9440-chain-two"), certs(t, "int", "ca"), nil},
		{"Google Cloud", value(t, "synth-gcp-client_cert_chain"), certs(t, "int"), nil},
		{"spaces and tabs", " " + one + " \t,\t " + one + "\t", [][]byte{sequence(40), sequence(40)}, nil},
		{"no spaces", one + "," + one, [][]byte{sequence(40), sequence(40)}, nil},
		{"ten", many(10), slices.Repeat([][]byte{sequence(40)}, 10), nil},
		{"eleven", many(11), nil, proxy.ErrTooLarge},
		{"empty", "", nil, proxy.ErrMalformed},
		{"empty member", one + ",," + one, nil, proxy.ErrMalformed},
		{"leading comma", "," + one, nil, proxy.ErrMalformed},
		{"trailing comma", one + ", ", nil, proxy.ErrMalformed},
		{"parameters", one + ";a=1, " + one, nil, proxy.ErrMalformed},
		{"inner list", "(" + one + " " + one + ")", nil, proxy.ErrMalformed},
		{"no comma", one + " " + one, nil, proxy.ErrMalformed},
		{"token among them", one + ", a", nil, proxy.ErrMalformed},
		{"line end around", one + ",\n" + one, nil, proxy.ErrMalformed},
		{"over 64 KiB", strings.Repeat("A", 64<<10+1), nil, proxy.ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { checkEncoding(t, proxy.ByteSequenceList, tt.value, tt.want, tt.class) })
	}
}

func TestRFC9440(t *testing.T) {
	leaf, chain := value(t, "rfc9440-a-client-cert"), value(t, "rfc9440-a-client-cert-chain")
	first, second, _ := strings.Cut(chain, ", ")
	ders, err := proxy.ByteSequenceList(leaf + ", " + chain)
	if err != nil || len(ders) != 3 {
		t.Fatal(len(ders), err)
	}
	tests := []struct {
		name string
		h    []string
		want outcome
	}{
		{"appendix A", []string{"Client-Cert", leaf, "Client-Cert-Chain", chain}, outcome{leaf: ders[0], chain: ders[1:]}},
		{"chain over two lines", []string{"Client-Cert", leaf, "Client-Cert-Chain", first, "Client-Cert-Chain", second},
			outcome{leaf: ders[0], chain: ders[1:]}},
		{"no chain", []string{"Client-Cert", leaf}, outcome{leaf: ders[0]}},
		{"empty chain", []string{"Client-Cert", leaf, "Client-Cert-Chain", ""}, outcome{leaf: ders[0]}},
		{"chain with the leaf, as sent", []string{"Client-Cert", leaf, "Client-Cert-Chain", leaf}, outcome{leaf: ders[0], chain: ders[:1]}},
		{"none", nil, outcome{}},
		{"none, empty chain", []string{"Client-Cert-Chain", ""}, outcome{}},
		{"empty", []string{"Client-Cert", ""}, outcome{err: proxy.ErrMalformed}},
		{"delimiters alone", []string{"Client-Cert", "::"}, outcome{err: proxy.ErrMalformed}},
		{"chain without a certificate", []string{"Client-Cert-Chain", chain}, outcome{err: proxy.ErrMalformed}},
		{"two lines", []string{"Client-Cert", leaf, "Client-Cert", leaf}, outcome{err: proxy.ErrMalformed}},
		{"second line empty", []string{"Client-Cert", leaf, "Client-Cert", ""}, outcome{err: proxy.ErrMalformed}},
		{"list", []string{"Client-Cert", leaf + ", " + leaf}, outcome{err: proxy.ErrMalformed}},
		{"bad chain", []string{"Client-Cert", leaf, "Client-Cert-Chain", "x"}, outcome{err: proxy.ErrMalformed}},
		{"empty line in the chain", []string{"Client-Cert", leaf, "Client-Cert-Chain", first, "Client-Cert-Chain", ""},
			outcome{err: proxy.ErrMalformed}},
		{"eleven lines", append([]string{"Client-Cert", leaf},
			slices.Repeat([]string{"Client-Cert-Chain", byteSequence(sequence(9))}, 11)...), outcome{err: proxy.ErrTooLarge}},
		{"eleven in two lines", []string{
			"Client-Cert", leaf, "Client-Cert-Chain", list(",", byteSequence, slices.Repeat([][]byte{sequence(9)}, 6)),
			"Client-Cert-Chain", list(",", byteSequence, slices.Repeat([][]byte{sequence(9)}, 5)),
		}, outcome{err: proxy.ErrTooLarge}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { check(t, proxy.RFC9440(), header(tt.h...), tt.want) })
	}
}

func TestRFC9440Template(t *testing.T) {
	f := proxy.RFC9440Template()
	check(t, f, header("Client-Cert", value(t, "haproxy-rfc9440")), outcome{leaf: cert(t, "client")})
	check(t, f, header(), outcome{})
	check(t, f, header("Client-Cert", ""), outcome{})
	check(t, f, header("Client-Cert", "::"), outcome{})
	check(t, f, header("Client-Cert", ":::"), outcome{err: proxy.ErrMalformed})
	check(t, f, header("Client-Cert", "::", "Client-Cert-Chain", byteSequence(sequence(9))), outcome{err: proxy.ErrMalformed})
	check(t, f, header("Client-Cert", ":{http.request.tls.client.certificate_der_base64}:"), outcome{err: proxy.ErrMalformed})
}

func FuzzByteSequence(f *testing.F) {
	for _, v := range allValues(f) {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, value string) {
		encode := func(ders [][]byte) string { return byteSequence(ders[0]) }
		got, ok := roundTrip(t, proxy.ByteSequence, encode, value)
		if !ok {
			return
		}
		if len(got) != 1 || encode(got) != value {
			t.Errorf("two texts for one certificate")
		}
		item, err := httpsfv.UnmarshalItem([]string{value})
		if der, _ := item.Value.([]byte); err != nil || !bytes.Equal(der, got[0]) {
			t.Errorf("a structured field parser reads %T, %v", item.Value, err)
		}
	})
}

func FuzzByteSequenceList(f *testing.F) {
	for _, v := range allValues(f) {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, value string) {
		encode := func(ders [][]byte) string { return list(",", byteSequence, ders) }
		got, ok := roundTrip(t, proxy.ByteSequenceList, encode, value)
		if !ok {
			return
		}
		members, err := httpsfv.UnmarshalList([]string{strings.TrimLeft(value, "\t ")})
		if err != nil || len(members) != len(got) {
			t.Fatalf("a structured field parser reads %d members, %v; want %d", len(members), err, len(got))
		}
		for i, member := range members {
			if der, _ := member.(httpsfv.Item).Value.([]byte); !bytes.Equal(der, got[i]) {
				t.Errorf("a structured field parser reads another certificate at %d", i)
			}
		}
	})
}
