package probe

import (
	"crypto/fips140"
	"crypto/sha1" //nolint:gosec // some proxies send it
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/seed-171ab058/popauth/proxy"
)

const (
	headersOf   = "forged headers of "
	ofAProxy    = "RFC 9440, section 4"
	wantRemoved = "401: such a header counts if the proxy has set it, and the proxy removes the client's own"
)

func forgeryChecks() []Check {
	var all []Check
	for _, f := range families() {
		all = append(all, Check{Name: f.name, Section: f.section, Severity: Critical, needs: needsCert, Title: headersOf + f.title,
			Want: wantRemoved, run: func(s *session) verdict { return s.forged(s.written(f.formats), s.none(), s.others()) }})
	}
	for _, c := range []struct {
		name, section, title string
		run                  func(*session) verdict
	}{
		{"header-thumbprint", ofAProxy, "the owner's thumbprint in headers that name one", func(s *session) verdict {
			return s.forged(s.thumbprints(), s.none(), s.others())
		}},
		{"header-subject", ofAProxy, "the owner's names in headers that have a subject", func(s *session) verdict {
			return s.forged(s.subjects(), s.none(), s.others())
		}},
		{"header-underscore", "RFC 3875, section 4.1.18", "forged headers of all of them, with underscores for hyphens", spelledWith("_")},
		{"header-dot", "RFC 3875, section 4.1.18", "forged headers of all of them, with dots for hyphens", spelledWith(".")},
		{"header-tilde", "RFC 3875, section 4.1.18", "forged headers of all of them, with other characters for hyphens", spelledWith("~")},
		{"header-last-hyphen", "RFC 3875, section 4.1.18", "forged headers of all of them, with an underscore for the last hyphen",
			spelledLast},
		{"header-lower-case", "RFC 9110, section 5.1", "forged headers of all of them, in lower case", func(s *session) verdict {
			return s.forged(respelled(s.allWritten(), strings.ToLower), s.none())
		}},
		{"header-twice", "RFC 9110, section 5.3", "forged headers of all of them, each twice: empty, and the owner's", twiceForged},
		{"header-http2", "RFC 9113, section 8.2", "forged headers of all of them, over HTTP/2", http2Forged},
		{"header-space", "RFC 9112, section 5.1", "forged headers of all of them, with a space before the colon", func(s *session) verdict {
			return s.forged(respelled(s.allWritten(), func(name string) string { return name + " " }), s.none())
		}},
		{"header-folded", "RFC 9112, section 5.2", "forged headers of all of them, in a line that continues another", foldedForged},
		{"header-trailer", "RFC 9110, section 6.5.1", "forged headers of all of them, behind a body in chunks", trailerForged},
		{"header-connection", "RFC 9110, section 7.6.1", "a Connection line that names what a proxy sets", connectionStripped},
	} {
		check := Check{Name: c.name, Section: c.section, Severity: Critical, needs: needsCert, Title: c.title, Want: wantRemoved,
			run: c.run}
		if c.name == "header-http2" {
			check.needs |= needsHTTP2
		}
		all = append(all, check)
	}
	return all
}

// none and others are who sends what is forged.
func (s *session) none() *tls.Certificate { return nil }

func (s *session) others() *tls.Certificate { return s.other }

// forged sends each set of headers without a certificate, or with another's.
func (s *session) forged(sets []set, senders ...*tls.Certificate) verdict {
	all := s.forgeries(sets, senders...)
	if len(all) == 0 {
		return skipped("the API's TLS lets no thief in who has no certificate that it takes")
	}
	return s.refused(all...)
}

func (s *session) forgeries(sets []set, senders ...*tls.Certificate) []variant {
	var all []variant
	for _, one := range sets {
		for _, sender := range senders {
			if sender == nil && !s.noneConnects && s.otherConnects {
				sender = s.other
			}
			if sender == nil && !s.noneConnects || sender != nil && !s.otherConnects {
				continue
			}
			name := one.name + ", without a certificate"
			if sender != nil {
				name = one.name + ", with another certificate"
			}
			all = append(all, variant{name, func(c *call) {
				c.link.certificate = sender
				c.fields = append(c.fields, one.fields...)
			}})
		}
	}
	return all
}

// set are the headers of one request.
type set struct {
	name   string
	fields []field
}

// written is what proxies send for the owner's certificate.
func (s *session) written(formats []proxy.Format) []set {
	var all []set
	for _, f := range formats {
		h, err := f.Encode(s.options.Certificate.Certificate[0])
		if err != nil {
			continue
		}
		all = append(all, set{strings.Join(slices.Sorted(maps.Keys(h)), ", "), fieldsOf(h)})
	}
	return all
}

func fieldsOf(h http.Header) []field {
	var all []field
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, v := range h[name] {
			all = append(all, field{name, v})
		}
	}
	return all
}

// allWritten has each format once, and the thumbprints.
func (s *session) allWritten() []set {
	var all []set
	for _, f := range families() {
		all = append(all, s.written(f.formats)...)
	}
	return append(all, s.thumbprints()...)
}

var thumbprintNames = []string{
	"X-SSL-Client-Fingerprint", "X-SSL-Client-SHA1", "X-SSL-Client-SHA256", "SSL-Client-Fingerprint", "X-Client-Fingerprint",
	"X-Client-Cert-Fingerprint", "X-Client-Cert-Thumbprint", "X-Client-Cert-Hash", "X-Client-Cert-SHA256", "X-TLS-Client-Fingerprint",
	"Cf-Client-Cert-Sha256", "X-Client-Certificate-Thumbprint", "X-Cert-Thumbprint", "X-Amzn-Mtls-Clientcert-Thumbprint", "X-Thumbprint",
}

// thumbprints has the owner's in each form that such headers have.
func (s *session) thumbprints() []set {
	der := s.options.Certificate.Certificate[0]
	long := sha256.Sum256(der)
	values := map[string]string{"thumbprints in base64url": encode(long[:]), "thumbprints in hex": hex.EncodeToString(long[:])}
	if !fips140.Enforced() { // there crypto/sha1 panics
		short := sha1.Sum(der) //nolint:gosec // as proxies send it
		values["SHA-1 in hex"] = hex.EncodeToString(short[:])
	}
	var all []set
	for name, value := range values {
		one := set{name: name}
		for _, header := range append([]string{"X-Forwarded-Client-Cert"}, thumbprintNames...) {
			if header == "X-Forwarded-Client-Cert" {
				one.fields = append(one.fields, field{header, "Hash=" + value})
				continue
			}
			one.fields = append(one.fields, field{header, value})
		}
		for _, header := range []string{"X-SSL-Client-Verify", "SSL-Client-Verify", "X-Client-Verify", "Cf-Client-Cert-Verified"} {
			one.fields = append(one.fields, field{header, "SUCCESS"})
		}
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b set) int { return strings.Compare(a.name, b.name) })
	return all
}

func (s *session) subjects() []set {
	own, err := x509.ParseCertificate(s.options.Certificate.Certificate[0])
	if err != nil {
		return nil
	}
	one := set{name: "subjects"}
	for _, name := range []string{"X-SSL-Client-S-DN", "X-SSL-Subject-DN", "SSL-Client-Subject-DN", "X-SSL-Client-DN", "X-Client-DN",
		"SSL-Client-S-DN",
		"X-Client-Subject", "X-Client-Cert-Subject", "Cf-Client-Cert-Subject-DN", "X-Amzn-Mtls-Clientcert-Subject"} {
		one.fields = append(one.fields, field{name, plain(own.Subject.String())})
	}
	for _, name := range []string{"X-SSL-Client-CN", "X-Client-CN", "SSL-Client-CN", "X-SSL-Client-S-DN-CN"} {
		one.fields = append(one.fields, field{name, plain(own.Subject.CommonName)})
	}
	for _, name := range []string{"X-SSL-Client-Verify", "SSL-Client-Verify", "X-Client-Verify"} {
		one.fields = append(one.fields, field{name, "SUCCESS"})
	}
	return []set{one}
}

// plain is a text that fits into a header.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f {
			return '?'
		}
		return r
	}, text)
}

func respelled(sets []set, spell func(string) string) []set {
	var all []set
	for _, one := range sets {
		again := set{name: one.name}
		for _, f := range one.fields {
			again.fields = append(again.fields, field{spell(f.name), f.value})
		}
		all = append(all, again)
	}
	return all
}

func spelledWith(sep string) func(*session) verdict {
	return func(s *session) verdict {
		return s.forged(respelled(s.allWritten(), func(name string) string { return strings.ReplaceAll(name, "-", sep) }), s.none())
	}
}

func spelledLast(s *session) verdict {
	return s.forged(respelled(s.allWritten(), func(name string) string {
		if i := strings.LastIndexByte(name, '-'); i > 0 {
			return name[:i] + "_" + name[i+1:]
		}
		return name
	}), s.none())
}

func twiceForged(s *session) verdict {
	var all []set
	for _, one := range s.allWritten() {
		for _, first := range []bool{true, false} {
			again := set{name: one.name + ", the owner's last"}
			if first {
				again.name = one.name + ", the owner's first"
			}
			for _, f := range one.fields {
				pair := []field{{f.name, ""}, f}
				if first {
					pair = []field{f, {f.name, ""}}
				}
				again.fields = append(again.fields, pair...)
			}
			all = append(all, again)
		}
	}
	return s.forged(all, s.none())
}

func http2Forged(s *session) verdict {
	all := s.forgeries(s.allWritten(), s.none())
	for i, v := range all {
		all[i].change = func(c *call) { v.change(c); c.link.http2 = true }
	}
	return s.refused(all...)
}

func foldedForged(s *session) verdict {
	var all []variant
	for _, one := range s.allWritten() {
		all = append(all, variant{one.name, func(c *call) {
			c.link.certificate = nil
			for _, f := range one.fields {
				c.add("X-Probe", "a\r\n "+f.name+": "+f.value)
			}
		}})
	}
	return s.refused(all...)
}

func trailerForged(s *session) verdict {
	var all []variant
	for _, one := range s.allWritten() {
		for _, announced := range []bool{true, false} {
			all = append(all, variant{one.name, func(c *call) {
				c.link.certificate, c.chunked, c.trailer = nil, true, one.fields
				for _, f := range one.fields {
					if announced {
						c.add("Trailer", f.name)
					}
				}
			}})
		}
	}
	return s.refused(all...)
}

// connectionStripped has a proxy remove on its way what it has itself set: the certificate that isn't the owner's, the verdict, the
// secret. What is left may be the forged line in another spelling.
func connectionStripped(s *session) verdict {
	var names []string
	for _, one := range s.allWritten() {
		for _, f := range one.fields {
			if !slices.Contains(names, f.name) {
				names = append(names, f.name)
			}
		}
	}
	names = append(names, "X-Proxy-Secret", "X-Forwarded-For", "X-Real-IP", "X-Forwarded-Proto")
	var all []variant
	for sender, certificate := range map[string]*tls.Certificate{"without a certificate": nil, "with another certificate": s.other} {
		all = append(all, variant{"all names, " + sender, func(c *call) {
			c.link.certificate = certificate
			c.add("Connection", strings.Join(names, ", "))
		}}, variant{"Authorization, " + sender, func(c *call) {
			c.link.certificate = certificate
			c.add("Connection", "Authorization")
		}})
		for _, one := range s.allWritten() {
			var own []string
			for _, f := range one.fields {
				own = append(own, f.name)
			}
			all = append(all, variant{one.name + ", " + sender, func(c *call) {
				c.link.certificate = certificate
				c.add("Connection", strings.Join(own, ", "))
				for _, f := range one.fields {
					c.add(strings.ReplaceAll(f.name, "-", "_"), f.value)
				}
			}})
		}
	}
	return s.refused(all...)
}
