package proxy_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/proxy"
)

func hash(der []byte) string {
	sum := sha256.Sum256(der)
	return "Hash=" + hex.EncodeToString(sum[:])
}

func TestEnvoy(t *testing.T) {
	client, self := cert(t, "client"), cert(t, "self")
	h, c := hash(client), `Cert="`+percentPEM(client)+`"`
	ok := h + ";" + c
	both := `Chain="` + percentPEM(client, cert(t, "int")) + `"`
	leaf, chain := outcome{leaf: client}, outcome{leaf: client, chain: certs(t, "int")}
	bad := outcome{err: proxy.ErrMalformed}
	tests := []struct {
		name, value string
		want        outcome
	}{
		{"everything", value(t, "synth-envoy-xfcc-full"), chain},
		{"hash and certificate", ok, leaf},
		{"hash and chain", h + ";" + both, chain},
		{"certificate and chain", ok + ";" + both, chain},
		{"certificate first", c + ";" + h, leaf},
		{"keys in upper case", "HASH=" + h[5:] + ";CERT=" + c[5:], leaf},
		{"keys in lower case", "hash=" + h[5:] + ";cert=" + c[5:], leaf},
		{"several By, URI, DNS", "By=a;By=b;" + ok + ";URI=a;URI=;DNS=a;DNS=b;DNS=", leaf},
		{"quoted URI", ok + `;URI="a,b;c=\"d\""`, leaf},
		{"equals signs in a value", ok + ";URI=a=b==", leaf},
		{"empty subject", ok + `;Subject=""`, leaf},
		{"escaped quote", ok + `;Subject="O=\"a\",CN=b;Hash=c"`, leaf},
		{"escaped backslash", ok + `;Subject="O=a\\"`, leaf},
		{"escaped comma", ok + `;Subject="O=Acme\, Inc."`, leaf},
		{"backslash outside of quotes", ok + `;URI=a\`, leaf},
		{"backslash before a separator", h + `;URI=a\;` + c, leaf},

		{"sidecar, hash alone", value(t, "synth-envoy-xfcc-istio-sidecar"), bad},
		{"empty", "", bad},
		{"semicolon alone", ";", bad},
		{"trailing semicolon", ok + ";", bad},
		{"leading semicolon", ";" + ok, bad},
		{"two semicolons", h + ";;" + c, bad},
		{"pair without equals sign", ok + ";URI", bad},
		{"empty key", ok + ";=a", bad},
		{"space before a key", h + "; " + c, bad},
		{"space after a key", h + ";Cert =" + c[5:], bad},
		{"unknown key", ok + ";Key=a", bad},
		{"long unknown key", ok + ";" + strings.Repeat("k", 100) + "=a", bad},
		{"long s in a key", "Haſh=" + h[5:] + ";" + c, bad},
		{"no hash", c, bad},
		{"hash of another certificate", hash(self) + ";" + c, bad},
		{"hash in upper case", "Hash=" + strings.ToUpper(h[5:]) + ";" + c, bad},
		{"hash quoted", `Hash="` + h[5:] + `";` + c, bad},
		{"hash empty", "Hash=;" + c, bad},
		{"hash empty, then right", "Hash=;" + ok, bad},
		{"hash cut short", h[:len(h)-2] + ";" + c, bad},
		{"hash with more", h + "00;" + c, bad},
		{"hash twice", h + ";" + ok, bad},
		{"another hash first", hash(self) + ";" + ok, bad},
		{"another hash last", ok + ";" + hash(self), bad},
		{"certificate twice", ok + ";" + c, bad},
		{"chain twice", h + ";" + both + ";" + both, bad},
		{"subject twice", ok + `;Subject="";Subject=""`, bad},
		{"subject not quoted", ok + ";Subject=a", bad},
		{"certificate not quoted", h + ";" + strings.ReplaceAll(c, `"`, ""), bad},
		{"chain not quoted", h + ";" + strings.ReplaceAll(both, `"`, ""), bad},
		{"certificate empty", h + `;Cert=""`, bad},
		{"certificate empty beside a chain", h + `;Cert="";` + both, bad},
		{"chain empty beside a certificate", ok + `;Chain=""`, bad},
		{"certificate malformed", h + `;Cert="x"`, bad},
		{"chain malformed", h + `;Chain="x"`, bad},
		{"certificate malformed beside a chain", h + `;Cert="x";` + both, bad},
		{"chain malformed beside a certificate", ok + `;Chain="x"`, bad},
		{"two certificates in Cert", h + `;Cert="` + percentPEM(client, client) + `"`, bad},
		{"chain of another certificate", ok + `;Chain="` + percentPEM(self, client) + `"`, bad},
		{"chain in the wrong order", h + `;Chain="` + percentPEM(cert(t, "int"), client) + `"`, bad},
		{"second element without a hash", ok + ",URI=a", bad},
		{"hash and certificate in two elements", h + "," + c, bad},
		{"two elements", ok + "," + ok, bad},
		{"two elements with a space", ok + ", " + ok, bad},
		{"client's element first", hash(self) + ";URI=a," + ok, bad},
		{"empty element last", ok + ",", bad},
		{"empty element first", "," + ok, bad},
		{"quote without an end", ok + `;Subject="a`, bad},
		{"quote without an end, escaped", ok + `;Subject="a\"`, bad},
		{"backslash at the end of a quote", ok + `;Subject="a\`, bad},
		{"text after a quote", ok + `;Subject="a"b`, bad},
		{"pair right after a quote", ok + `;Subject="a"bURI=c`, bad},
		{"quote after a quote", ok + `;Subject="a""b"`, bad},
		{"space after a quote", ok + `;Subject="a" `, bad},
		{"quote inside of a value", ok + `;URI=a"b"`, bad},
		{"gorouter's form", value(t, "synth-azure-x-arr-clientcert"), bad},
		{"over 64 KiB", ok + ";URI=" + strings.Repeat("a", 64<<10), outcome{err: proxy.ErrTooLarge}},

		{"URI adds a key", value(t, "synth-attack-xfcc-uri-san-injects-cert-key"), bad},
		{"URI adds an element", value(t, "synth-attack-xfcc-uri-san-injects-element"), bad},
		{"URI adds a hash", ok + ";URI=a;" + hash(self), bad},
		{"certificate and hash disagree", value(t, "synth-attack-xfcc-cert-hash-mismatch"), bad},
		{"client leaves a quote open", value(t, "synth-attack-xfcc-append-client-open-quote"), bad},
		{"client ends with a backslash", value(t, "synth-attack-xfcc-append-backslash-before-comma"), bad},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			check(t, proxy.Envoy(), header("X-Forwarded-Client-Cert", tt.value), tt.want)
		})
	}
	for want, sent := range map[string]string{
		"element without a certificate": value(t, "synth-envoy-xfcc-istio-sidecar"),
		"unknown key":                   ok + ";Key=a",
		"key twice":                     h + ";" + ok,
		"more than one element":         ok + "," + ok,
	} {
		t.Run("reason: "+want, func(t *testing.T) {
			_, err := proxy.Envoy().Decode(header("X-Forwarded-Client-Cert", sent))
			if err == nil || !strings.Contains(err.Error(), ": "+want) {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
	t.Run("none", func(t *testing.T) { check(t, proxy.Envoy(), header(), outcome{}) })
	t.Run("two lines", func(t *testing.T) {
		check(t, proxy.Envoy(), header("X-Forwarded-Client-Cert", ok, "X-Forwarded-Client-Cert", ok), bad)
	})
}

func FuzzXFCC(f *testing.F) {
	for _, v := range allValues(f) {
		f.Add(v)
	}
	ok := hash(sequence(9)) + `;Chain="` + compactPEM(sequence(9), sequence(5)) + `"`
	for _, more := range []string{`;URI=a\`, `;Subject="a\"b"`, ";By=;By=a", `;DNS="a,b"`, ";", ",", `;Subject="`} {
		f.Add(ok + more)
	}
	decode := func(value string) ([][]byte, error) {
		p, err := proxy.Envoy().Decode(header("X-Forwarded-Client-Cert", value))
		if err != nil {
			return nil, err
		}
		return append([][]byte{p.Leaf}, p.Chain...), nil
	}
	encode := func(ders [][]byte) string { return hash(ders[0]) + `;Chain="` + compactPEM(ders...) + `"` }
	f.Fuzz(func(t *testing.T, value string) {
		got, ok := roundTrip(t, decode, encode, value)
		if !ok {
			return
		}
		if !strings.Contains(value, hash(got[0])[5:]) {
			t.Error("accepted a certificate whose hash is not there")
		}
		// Whatever else is in the value, a second element or a second hash behind it is never accepted.
		other := sequence(2)
		if bytes.Equal(got[0], other) {
			other = sequence(3)
		}
		for _, more := range []string{"," + value, ";" + hash(other), `;Cert="` + compactPEM(other) + `"`} {
			if again, err := decode(value + more); err == nil {
				t.Errorf("accepted more behind it, with the same leaf: %v", bytes.Equal(again[0], got[0]))
			}
		}
	})
}
