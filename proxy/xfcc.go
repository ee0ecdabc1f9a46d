package proxy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Envoy reads X-Forwarded-Client-Cert as Envoy writes it, and with it Istio's gateways, Contour and others built on
// Envoy. The value is exactly one element with exactly one Hash, which must be the SHA-256 of the certificate in
// Cert, or the first one of Chain; an element that holds neither, as an Istio sidecar adds, is an error, since a
// hash alone is no certificate: behind a sidecar, [Format.WithHops] says whose elements follow the caller's. Keys that
// Envoy does not write and keys that it writes once but came twice are errors. There is no verdict: Envoy sends what
// was presented, so Verified is never set.
//
// Set forward_client_cert_details to SANITIZE_SET, with cert (and chain) in set_current_client_cert_details; modes
// that forward or append keep elements that a client sent. That is for the hop where the caller's own TLS ends: on a
// hop behind it, such as a sidecar, the certificate is the gateway's, whoever calls. Envoy does not quote URI and DNS,
// which hold text of the client's certificate: the rules above refuse keys and elements that such text tries to add.
func Envoy() Format {
	return newFormat(Format{name: "envoy", program: "envoy", cert: "X-Forwarded-Client-Cert", encoding: xfcc})
}

// xfcc reads one element and returns its certificate and chain, leaf first.
func xfcc(value string) ([][]byte, error) {
	e, err := soleElement(value)
	if err != nil {
		return nil, err
	}
	certs, err := e.certificates()
	if err != nil {
		return nil, err
	}
	return certs, e.confirms(certs[0])
}

// xfccContainerApps is xfcc for a value that may end with a semicolon, and whose Chain may leave the leaf out.
func xfccContainerApps(value string) ([][]byte, error) {
	e, err := soleElement(strings.TrimSuffix(value, ";"))
	if err != nil {
		return nil, err
	}
	between := e.chain
	if e.cert != "" {
		e.chain = ""
	}
	certs, err := e.certificates()
	if err == nil && e.chain != between {
		var chain [][]byte
		chain, err = PEMPercentList(between)
		if err == nil && bytes.Equal(chain[0], certs[0]) {
			chain = chain[1:]
		}
		certs = append(certs, chain...)
	}
	switch {
	case err != nil:
		return nil, err
	case len(certs) > maxCertificates:
		return nil, tooLarge("more than 10 certificates")
	}
	return certs, e.confirms(certs[0])
}

// soleElement reads a value of one element.
func soleElement(value string) (element, error) {
	e, more, err := scanElement(value)
	if err == nil && more != "" {
		err = malformed("more than one element: name your own proxies behind the one that ends the caller's TLS in WithHops, " +
			"and set SANITIZE_SET there")
	}
	return e, err
}

// An element holds the keys that matter; empty means that the key is missing.
type element struct {
	hash, cert, chain string
	uris              []string
	quoted            bool   // one of uris, which Envoy never quotes
	text              string // all of it
}

// confirms holds Hash against the certificate that the text says.
func (e element) confirms(der []byte) error {
	if sum := sha256.Sum256(der); hex.EncodeToString(sum[:]) != e.hash {
		return malformed("hash missing or of another certificate")
	}
	return nil
}

func (e element) certificates() ([][]byte, error) {
	switch {
	case e.cert == "" && e.chain == "":
		return nil, malformed("element without a certificate, and its Hash alone confirms nothing: set cert in " +
			"set_current_client_cert_details where the caller's TLS ends, and name the proxies behind it in WithHops")
	case e.chain == "":
		return PEMPercent(e.cert)
	case e.cert == "":
		return PEMPercentList(e.chain)
	}
	leaf, err := PEMPercent(e.cert)
	if err != nil {
		return nil, err
	}
	chain, err := PEMPercentList(e.chain)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(leaf[0], chain[0]) {
		return nil, malformed("certificate and chain disagree")
	}
	return chain, nil
}

// scanElements splits a whole value.
func scanElements(s string) (all []element, err error) {
	for more := "," + s; more != ""; {
		if len(all) > 2*maxHops {
			return nil, malformed("more than 20 elements")
		}
		var e element
		if e, more, err = scanElement(more[1:]); err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

// scanElement splits the first element into its pairs: key=value, separated by semicolons. More is what follows it, from the
// comma on.
func scanElement(s string) (e element, more string, err error) {
	var seen [4]bool // hash, cert, chain, subject
	for all := s; ; {
		key, rest, ok := strings.Cut(s, "=")
		if !ok {
			return element{}, "", malformed("pair without a value")
		}
		value, quoted, rest, err := scanValue(rest)
		if err != nil {
			return element{}, "", err
		}
		once, want := -1, true
		switch lower(key) {
		case "hash":
			once, want, e.hash = 0, !quoted, value
		case "cert":
			once, want, e.cert = 1, quoted && value != "", value
		case "chain":
			once, want, e.chain = 2, quoted && value != "", value
		case "subject":
			once, want = 3, quoted
		case "uri":
			e.uris, e.quoted = append(e.uris, value), e.quoted || quoted
		case "by", "dns": // Envoy repeats these and URI, and leaves them empty
		default:
			return element{}, "", malformed("unknown key")
		}
		switch {
		case !want:
			return element{}, "", malformed("value not in the form of its key")
		case once >= 0 && seen[once]:
			return element{}, "", malformed("key twice")
		case once >= 0:
			seen[once] = true
		}
		if rest == "" || rest[0] == ',' {
			e.text = all[:len(all)-len(rest)]
			return e, rest, nil
		}
		s = rest[1:]
	}
}

// scanValue reads up to the semicolon or comma that follows a value, or to the end. A value that starts with a quote ends
// with the next one that no backslash escapes, and nothing but a separator may follow. Outside of quotes a backslash
// is an ordinary character: were it an escape, a client's text could swallow the separator that Envoy adds after it.
func scanValue(s string) (value string, quoted bool, rest string, err error) {
	end := 0
	if quoted = strings.HasPrefix(s, `"`); quoted {
		if end = closingQuote(s); end < 0 {
			return "", false, "", malformed("quote without an end")
		}
		value, rest = s[1:end], s[end+1:]
	} else {
		for end < len(s) && s[end] != ';' && s[end] != ',' && s[end] != '"' {
			end++
		}
		value, rest = s[:end], s[end:]
	}
	if rest == "" || rest[0] == ';' || rest[0] == ',' {
		return value, quoted, rest, nil
	}
	return "", false, "", malformed("quote inside of a value, or text after one")
}

// closingQuote returns the index of the quote that ends the quoted string s starts with, or -1.
func closingQuote(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}

// lower maps ASCII only: Unicode folding knows letters that equal an "s" or a "k".
func lower(s string) string {
	if len(s) > len("subject") {
		return s // no key is longer
	}
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
