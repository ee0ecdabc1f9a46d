package proxy

import (
	"cmp"
	"slices"
)

// CustomHeaders describes what a proxy sends that no function of this package covers, or a preset's headers under
// other names. Certificate and Encoding are required.
type CustomHeaders struct {
	Name        string   // for logs; empty: "custom"
	Certificate string   // header with the certificate
	Encoding    Encoding // its form; what it returns beyond the first certificate is the chain
	None        []string // values that mean no certificate, as absence does; nil: only the empty one

	// Always says that the proxy sends Certificate with every request, with a value of None where there is no
	// certificate. A request without the line is an error then. A proxy that leaves it out would pass a client's own on.
	Always bool

	Chain         string   // header with the other certificates; empty: there is none
	ChainEncoding Encoding // its form; required with Chain

	Verdict string // header with the proxy's verdict, mandatory beside a certificate; empty: none, never Verified
	Judge   Judge  // reads it; required with Verdict

	Others []string // further names that a client must not be able to send
}

// Custom reads what c describes: each header once, within the limits of this package.
//
// A proxy that can send a verdict should: without it an absent validation can't be told from a successful one.
func Custom(c CustomHeaders) Format {
	f := Format{
		name:     cmp.Or(c.Name, "custom"),
		cert:     c.Certificate,
		encoding: checked(c.Encoding),
		none:     []string{""},
		always:   c.Always,
		others:   slices.Clone(c.Others),
	}
	if c.None != nil {
		f.none = slices.Clone(c.None)
	}
	if c.Encoding == nil {
		f = f.problem("no encoding for the certificate header")
	}
	if (c.Chain == "") != (c.ChainEncoding == nil) {
		f = f.problem("a chain needs a header and an encoding")
	}
	if (c.Verdict == "") != (c.Judge == nil) {
		f = f.problem("a verdict needs a header and a judge")
	}
	if c.Chain != "" {
		f.chain, f.chains, f.chainNone = []string{c.Chain}, checked(c.ChainEncoding), []string{""}
	}
	if c.Verdict != "" {
		f.verdicts, f.judge = []string{c.Verdict}, judged(c.Verdict, c.Judge)
	}
	return newFormat(f)
}

// checked holds an Encoding that may be the caller's own to what the others promise.
func checked(encoding Encoding) Encoding {
	return func(value string) ([][]byte, error) {
		certs, err := encoding(value)
		switch {
		case err != nil:
			return nil, err
		case len(certs) == 0:
			return nil, malformed("no certificate")
		case len(certs) > maxCertificates:
			return nil, tooLarge("more than 10 certificates")
		}
		for _, der := range certs {
			if _, err := oneDER(der); err != nil {
				return nil, err
			}
		}
		return certs, nil
	}
}
