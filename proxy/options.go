package proxy

import (
	"errors"
	"fmt"
	"slices"
)

// WithChain adds the headers that carry the rest of the chain: for [HAProxy] the one that holds ssl_c_chain_der in
// base64, for [Apache] one per certificate, SSL_CLIENT_CERT_CHAIN_0 first, at most ten. Other formats report a
// problem: their chain headers are fixed, configured otherwise, or do not exist.
func (f Format) WithChain(headers ...string) Format {
	switch {
	case f.chainLimit == 0 || len(f.chain) > 0:
		return f.problem("no chain header to name")
	case len(headers) == 0 || len(headers) > f.chainLimit:
		return f.problem(fmt.Sprintf("1 to %d chain headers, not %d", f.chainLimit, len(headers)))
	}
	f.chain = headers
	return newFormat(f)
}

// WithoutVerdict reads certificates without the proxy's verdict, for a proxy that is not configured to send it.
// Verified is then never set. The verdict headers stay among [Format.Headers]. Formats without a verdict report a
// problem, and so do those of CloudFront, whose verdict says whether there is a certificate at all.
func (f Format) WithoutVerdict() Format {
	switch {
	case f.judge == nil:
		return f.problem("no verdict to leave out")
	case f.presence:
		return f.problem("its verdict says whether there is a certificate at all: have the proxy send " + f.verdicts[0])
	}
	f.judge = nil
	f.others = slices.Concat(f.others, f.verdicts)
	f.verdicts = nil
	return f
}

// problem returns a copy of f with one more problem. The slice is clipped, so that copies don't share its end.
func (f Format) problem(text string) Format {
	f.problems = append(slices.Clip(f.problems), errors.New("proxy: "+f.name+": "+text))
	return f
}
