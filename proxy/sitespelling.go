package proxy

import (
	"fmt"
	"strings"

	"github.com/seed-171ab058/popauth/internal/proxyfile"
)

// removed are the patterns of what a client may not send.
func (s Site) removed() []string {
	names := s.Format.Headers()
	if s.SecretHeader != "" {
		names = append(names, s.SecretHeader)
	}
	var all []string
	for _, name := range append(names, proxyfile.Overrides()...) {
		all = append(all, proxyfile.Spellings(name))
	}
	return all
}

// reads is the call that makes the format, in Go.
func (s Site) reads(function string) string {
	f := s.Format
	var call string
	switch {
	case f.program == "rfc9440":
		return "proxy.RFC9440()"
	case len(f.verdicts) > 0:
		call = fmt.Sprintf("proxy.%s(%q, %q)", function, f.cert, f.verdicts[0])
	default:
		call = fmt.Sprintf("proxy.%s(%q, %q).WithoutVerdict()", function, f.cert, f.others[0])
	}
	if len(f.chain) > 0 {
		call += fmt.Sprintf(".WithChain(%s)", `"`+strings.Join(f.chain, `", "`)+`"`)
	}
	return call
}
