package proxy

import (
	"bytes"
	"errors"
	"net/http"
	"slices"
	"strings"
)

// Presented is what a proxy reports about the client of a request. Without a client certificate it is zero.
type Presented struct {
	// Leaf is the DER of the client's certificate: one SEQUENCE, otherwise unparsed. Nil means that there is none.
	Leaf []byte

	// Chain is the DER of the other certificates that the proxy sent, in its order, without the leaf: what a chain
	// may be built from, never what it may be trusted by. Several proxies lose them when a TLS session is resumed,
	// so an empty chain means nothing.
	Chain [][]byte

	// Verified tells that the proxy validated the certificate, by its verdict or by the name of the header. False
	// says nothing against possession of the key, which the TLS handshake with the proxy proved.
	Verified bool
}

// An Encoding decodes the text of one header to certificates, leaf first. The ones of this package check everything
// themselves; what others return is checked to be one to ten complete certificates, and the text of their errors is
// dropped. One for values that may say within themselves that there is no certificate, such as JSON, returns [ErrNone] for
// these. Whatever else stands in such a header is removed with it: a handler doesn't see it.
type Encoding func(value string) ([][]byte, error)

// A Format is the form in which a proxy sends a client's certificate. The zero Format is invalid: it decodes nothing.
// Formats come from the functions of this package and are immutable; methods return changed copies.
type Format struct {
	name     string
	program  string // that writes it, for Site
	cert     string // every name here is canonical
	encoding Encoding
	none     []string // values of cert that mean no certificate, as its absence does
	always   bool     // its absence is an error

	chain      []string // names of chain headers, in order
	chains     Encoding // nil: the proxy has no chain header
	chainNone  []string // values of a chain header that mean that it is empty
	chainLimit int      // how many chain headers may be named
	chainLines bool     // the one chain header may span lines
	chainFull  bool     // the chain starts with the leaf

	verdicts []string                                               // names of verdict headers
	judge    func(verdict func(name string) (string, bool)) Verdict // nil: the proxy has no verdict
	verified bool                                                   // by the name of the header

	presence     bool     // the verdict says whether there is a certificate, so it can't be left out
	fingerprints []string // headers with a hash of the certificate, which never stands for it

	hops []string // URIs of my own proxies, whose elements follow the caller's

	foreign  []string // headers of the proxy's other mode: their presence is an error
	others   []string // headers that the proxy sends and that are not read
	tells    []string // those of others that have a value beside a certificate only
	problems []error  // of the options
	clashes  []error  // of the names
}

// Name returns the name of the format, for logs and as the source of a certificate: "nginx", "rfc9440".
func (f Format) Name() string { return f.name }

// Headers returns, in canonical form, every header name that a client must not be able to send past the proxy:
// those that are read, and further ones that carry the same proxy's statements about the certificate.
func (f Format) Headers() []string {
	var names []string
	for _, u := range f.names() {
		if u.name != "" {
			names = append(names, u.name)
		}
	}
	return names
}

// Validate reports every problem of the configuration: a missing or invalid header name, one name in two roles, a
// missing encoding, an option that the format has no use for. The names of a format are letters, digits and hyphens,
// because other characters make spellings that some software takes for the same name.
func (f Format) Validate() error {
	if f.name == "" {
		return errors.New("proxy: the zero Format reads nothing; use one of the package's functions")
	}
	return errors.Join(slices.Concat(f.problems, f.clashes)...)
}

// Decode reads the certificate that h presents. Three outcomes: a certificate; none, with a nil Leaf and a nil
// error; or an error of class [ErrMalformed], [ErrTooLarge] or [ErrHops]. A Format that [Format.Validate] refuses returns an
// error of no class.
func (f Format) Decode(h http.Header) (Presented, error) {
	if f.name == "" || len(f.problems)+len(f.clashes) > 0 {
		return Presented{}, errors.New("proxy: invalid Format")
	}
	if err := f.admit(h); err != nil {
		return Presented{}, err
	}
	value, sent := line(h, f.cert)
	if f.hops != nil {
		var err error
		if value, err = f.beforeHops(value, sent); err != nil {
			return Presented{}, in(f.cert, err)
		}
		sent = value != ""
	}
	if !sent && f.always {
		return Presented{}, in(f.cert, malformed("not there, and the proxy has to send it always, empty without a certificate"))
	}
	present := sent && !slices.Contains(f.none, value)
	var certs [][]byte
	if present {
		var err error
		certs, err = f.encoding(value)
		switch {
		case errors.Is(err, ErrNone) && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrTooLarge):
			present = false
		case err != nil:
			return Presented{}, in(f.cert, err)
		}
	}
	if !present {
		if err := f.noFingerprint(h); err != nil {
			return Presented{}, err
		}
	}
	verdict, err := f.verdict(h, present, sent && value != "")
	if err != nil {
		return Presented{}, err
	}
	if !present {
		if err := f.noChain(h); err != nil {
			return Presented{}, err
		}
		return Presented{}, f.untold(h)
	}
	if f.hops != nil {
		if err := f.notHop(certs[0]); err != nil {
			return Presented{}, in(f.cert, err)
		}
	}
	chain, err := f.decodeChain(h, certs[0])
	if err != nil {
		return Presented{}, err
	}
	return Presented{
		Leaf:     certs[0],
		Chain:    slices.Concat(certs[1:], chain),
		Verified: f.verified || verdict == Validated || verdict == ValidatedOrNone,
	}, nil
}

// admit checks what can be checked before any value is read: headers of another mode, repeated lines, sizes.
func (f Format) admit(h http.Header) error {
	for _, name := range f.foreign {
		if len(h[name]) > 0 {
			return in(name, malformed("sent in another mode than the configured one"))
		}
	}
	total := 0
	for _, name := range slices.Concat([]string{f.cert}, f.chain, f.verdicts) {
		lines := h[name]
		if len(lines) > 1 && !(f.chainLines && slices.Contains(f.chain, name)) {
			return in(name, malformed("sent more than once"))
		}
		for _, value := range lines {
			if len(value) > maxVerdict && slices.Contains(f.verdicts, name) {
				return in(name, tooLarge("verdict over 128 bytes"))
			}
			total += len(value)
		}
		if total > maxValues {
			return in(name, tooLarge("certificate headers over 64 KiB"))
		}
	}
	return nil
}

func (f Format) verdict(h http.Header, present, sent bool) (Verdict, error) {
	if f.judge == nil {
		return NoCertificate, nil
	}
	verdict := f.judge(func(name string) (string, bool) { return line(h, name) })
	if err := verdict.against(present, sent); err != nil {
		return Unknown, in(f.verdicts[0], err)
	}
	return verdict, nil
}

// noFingerprint requires that a hash comes with what it is of. The proxy has seen a certificate, then, and doesn't send it.
func (f Format) noFingerprint(h http.Header) error {
	for _, name := range f.fingerprints {
		if slices.ContainsFunc(h[name], func(value string) bool { return value != "" }) {
			return in(name, malformed("hash of a certificate, and no certificate: a hash alone confirms nothing, since the thumbprint "+
				"is computed from the certificate; have the proxy send "+f.cert+", too"))
		}
	}
	return nil
}

// noChain requires that no chain comes without a certificate (RFC 9440, section 2.3).
func (f Format) noChain(h http.Header) error {
	for _, name := range f.chain {
		for _, value := range h[name] {
			if !slices.Contains(f.chainNone, value) {
				return in(name, malformed("chain without a certificate"))
			}
		}
	}
	return nil
}

// untold requires that nothing tells of a certificate that the proxy hasn't sent. None would be the client's fault then, and is the
// deployment's.
func (f Format) untold(h http.Header) error {
	for _, name := range f.tells {
		if slices.ContainsFunc(h[name], func(value string) bool { return value != "" }) {
			return in(name, malformed("tells of a certificate, and "+f.cert+" has none: have the proxy send the certificate itself"))
		}
	}
	return nil
}

// decodeChain reads the chain headers, which end at the first one that holds nothing.
func (f Format) decodeChain(h http.Header, leaf []byte) ([][]byte, error) {
	var chain [][]byte
	ended := false
	for _, name := range f.chain {
		lines := h[name]
		value := strings.Join(lines, ",") // several lines are one list: RFC 9440, section 2.3
		if len(lines) == 0 || slices.Contains(f.chainNone, value) {
			ended = true
			continue
		}
		if ended {
			return nil, in(name, malformed("chain with a gap"))
		}
		certs, err := f.chains(value)
		if err != nil {
			return nil, in(name, err)
		}
		chain = append(chain, certs...)
	}
	if f.chainFull && len(chain) > 0 && bytes.Equal(chain[0], leaf) {
		chain = chain[1:]
	}
	return chain, nil
}
