package proxy

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Encode is the inverse of Decode, for tests: it returns the headers by which the proxy reports a client with this certificate, in DER,
// and where it gives a verdict, that it has verified it. With nil it reports a client without one. popauthtest.Client.RequestVia
// makes a request of it. It is an error for a Format that Validate refuses, and for a Custom one whose Encoding or verdict is none
// that a preset has.
func (f Format) Encode(der []byte) (http.Header, error) {
	if err := f.Validate(); err != nil {
		return nil, err
	}
	for _, verified := range []bool{true, false} { // rather with a good verdict
		for _, value := range f.values(der) {
			if h := f.fitting(value, der, verified); h != nil {
				return h, nil
			}
		}
	}
	return nil, fmt.Errorf("proxy: %s: no known value stands for a certificate of %d bytes: its Encoding or verdict is its own",
		f.name, len(der))
}

// absent is a header that isn't sent.
const absent = "\x00"

// values are what a proxy may write for a certificate.
func (f Format) values(der []byte) []string {
	if der == nil {
		all := append([]string{absent, "{}"}, f.none...)
		if f.hops != nil {
			all = append(all, strings.Join(f.ends(), ","))
		}
		return all
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	encoded := base64.StdEncoding.EncodeToString(der)
	sum := sha256.Sum256(der)
	escaped := strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
	element := "Hash=" + hex.EncodeToString(sum[:]) + `;Cert="` + escaped + `"`
	quoted := strings.ReplaceAll(text, "\n", `\n`) // a string of JSON
	return []string{
		encoded, ":" + encoded + ":", escaped, base64.StdEncoding.EncodeToString([]byte(text)),
		`{"authentication":{"clientCert":{"clientCertPem":"` + quoted + `"}}}`,
		strings.ReplaceAll(text, "\n", " "), strings.TrimSpace(strings.ReplaceAll(text, "\n", " ")),
		strings.Join(append([]string{element}, f.ends()...), ","),
	}
}

// ends are the elements of the hops, as Envoy appends them.
func (f Format) ends() []string {
	var all []string
	for _, uri := range f.hops {
		sum := sha256.Sum256([]byte(uri))
		all = append(all, "Hash="+hex.EncodeToString(sum[:])+";URI="+uri)
	}
	return all
}

// verdictValues are those of all presets.
var verdictValues = []string{absent, "SUCCESS", "0", "true", "NONE", "false", "", "1"}

// fitting returns the headers with the first verdicts that fit; nil if none do.
func (f Format) fitting(value string, der []byte, verified bool) http.Header {
	chosen := make([]int, len(f.verdicts))
	for {
		h := http.Header{}
		set := func(name, value string) {
			if value != absent {
				h[name] = []string{value}
			}
		}
		set(f.cert, value)
		for i, name := range f.verdicts {
			set(name, verdictValues[chosen[i]])
		}
		if p, err := f.Decode(h); err == nil && bytes.Equal(p.Leaf, der) && (p.Verified == verified || der == nil) {
			return h
		}
		next := 0
		for next < len(chosen) && chosen[next] == len(verdictValues)-1 {
			chosen[next] = 0
			next++
		}
		if next == len(chosen) {
			return nil
		}
		chosen[next]++
	}
}
