package popauth

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-171ab058/popauth/internal/dn"
)

// certificatePolicy asks about the caller's certificate, which somebody must have verified: before that its names are
// what the caller says of itself.
func certificatePolicy(what string, allow func(*x509.Certificate) bool) Policy {
	return Policy{allow: func(_ *http.Request, p *Principal) error {
		switch {
		case p.Certificate == nil:
			return &Error{Reason: ErrForbidden, Err: errors.New("no certificate")}
		case p.Certificate.Verified == NotVerified:
			return &Error{Reason: ErrForbidden, Err: errors.New("nobody has verified the certificate")}
		}
		return forbidUnless(allow(p.Certificate.Leaf), what)
	}}
}

// CertificateDNS asks for a verified certificate with one of these DNS names among its subject alternative names; any
// other is refused with 403 and ErrForbidden. Case doesn't matter, the rest is to the letter: a wildcard in the
// certificate stands for no other name, and the common name is not looked at. It panics without a name, or with one
// that is not plain ASCII letters, digits, hyphens and dots: an international name is written as its A-labels.
func CertificateDNS(names ...string) Policy {
	names = mustMatch("CertificateDNS", "DNS name", hostName, names)
	return certificatePolicy("DNS name", func(c *x509.Certificate) bool {
		return slices.ContainsFunc(names, func(n string) bool {
			return slices.ContainsFunc(c.DNSNames, func(have string) bool { return equalASCII(n, have) })
		})
	})
}

// CertificateURI asks for a verified certificate with one of these URIs among its subject alternative names, compared
// to the letter as it stands in the certificate; otherwise it is like CertificateDNS. It panics without a URI, or with
// one that is not absolute.
func CertificateURI(uris ...string) Policy {
	for _, s := range mustStrings("CertificateURI", uris) {
		if u, err := url.Parse(s); err != nil || !u.IsAbs() || !isASCII(s) {
			panic(fmt.Sprintf("popauth: CertificateURI: %q is no absolute URI", s))
		}
	}
	uris = slices.Clone(uris)
	return certificatePolicy("URI", func(c *x509.Certificate) bool {
		return slices.ContainsFunc(uriNames(c), func(have string) bool { return slices.Contains(uris, have) })
	})
}

// CertificateSPIFFE asks for a verified X.509-SVID of one of these workloads, such as spiffe://example.org/batch: the
// certificate's only URI is that SPIFFE ID (X509-SVID, section 2). Otherwise it is like CertificateURI. Who may issue
// for a trust domain is up to Verification.Roots. It panics without an ID, or with one that is not a workload's.
func CertificateSPIFFE(ids ...string) Policy {
	ids = mustMatch("CertificateSPIFFE", "SPIFFE ID of a workload", spiffeID, ids)
	for _, id := range ids {
		if slices.ContainsFunc(strings.Split(id, "/")[3:], func(s string) bool { return s == "." || s == ".." }) {
			panic(fmt.Sprintf("popauth: CertificateSPIFFE: %q has a relative path segment", id))
		}
	}
	return certificatePolicy("SPIFFE ID", func(c *x509.Certificate) bool {
		have := uriNames(c)
		return len(have) == 1 && slices.Contains(ids, have[0])
	})
}

// CertificateEmail asks for a verified certificate with one of these addresses among its subject alternative names.
// Case doesn't matter after the @, and does before it (RFC 5280, section 7.5). Otherwise it is like CertificateDNS.
func CertificateEmail(addresses ...string) Policy {
	addresses = mustMatch("CertificateEmail", "mail address", mailAddress, addresses)
	return certificatePolicy("mail address", func(c *x509.Certificate) bool {
		return slices.ContainsFunc(addresses, func(a string) bool {
			return slices.ContainsFunc(c.EmailAddresses, func(have string) bool { return equalMail(a, have) })
		})
	})
}

// CertificateIP asks for a verified certificate with one of these IP addresses among its subject alternative names.
// The address that the request comes from is not looked at. Otherwise it is like CertificateDNS. It panics without an
// address, or with one that is not valid or has a zone.
func CertificateIP(addresses ...netip.Addr) Policy {
	addresses = slices.Clone(addresses)
	if len(addresses) == 0 || slices.ContainsFunc(addresses, func(a netip.Addr) bool { return !a.IsValid() || a.Zone() != "" }) {
		panic("popauth: CertificateIP: no address, or not a valid one without zone")
	}
	return certificatePolicy("IP address", func(c *x509.Certificate) bool {
		for _, ip := range c.IPAddresses {
			if have, ok := netip.AddrFromSlice(ip); ok && slices.Contains(addresses, have) {
				return true
			}
		}
		return false
	})
}

// CertificateSubject asks for a verified certificate whose whole subject is one of these distinguished names, written
// as in RFC 4514: the last RDN first, such as "CN=batch,O=Example,C=DE". They are compared RDN by RDN; values to the
// letter, whichever string type they are encoded in. Otherwise it is like CertificateDNS. It panics without a name, or
// with one that can't be read.
func CertificateSubject(names ...string) Policy {
	want := mustNames("CertificateSubject", names)
	return certificatePolicy("subject", func(c *x509.Certificate) bool { return named(want, c.RawSubject) })
}

// CertificateIssuer asks for a verified certificate of one of these issuers; otherwise it is like CertificateSubject.
// Two authorities can bear one name: this narrows Verification.Roots down and can't replace them.
func CertificateIssuer(names ...string) Policy {
	want := mustNames("CertificateIssuer", names)
	return certificatePolicy("issuer", func(c *x509.Certificate) bool { return named(want, c.RawIssuer) })
}

// CertificateThumbprint asks for one of these very certificates, by SHA-256 thumbprint: base64url as in x5t#S256, or
// hex, with or without colons. Nobody need have verified it, since it is known already; its period is then nobody's
// concern either. Otherwise it is like CertificateDNS. It panics without a thumbprint, or with one of another kind.
func CertificateThumbprint(thumbprints ...string) Policy {
	var sums [][sha256.Size]byte
	for _, t := range mustStrings("CertificateThumbprint", thumbprints) {
		sum, err := parseThumbprint(t)
		if err != nil {
			panic("popauth: CertificateThumbprint: " + err.Error())
		}
		sums = append(sums, sum)
	}
	return Policy{known: true, allow: func(_ *http.Request, p *Principal) error {
		return forbidUnless(p.Certificate != nil && oneOf(sums, p.Certificate.Leaf), "certificate")
	}}
}

var (
	hostName    = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*$`)
	mailAddress = regexp.MustCompile(`^[!-?A-~]+@[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)
	spiffeID    = regexp.MustCompile(`^spiffe://[a-z0-9._-]+(/[A-Za-z0-9._-]+)+$`) // SPIFFE-ID, section 2
)

func mustMatch(policy, what string, form *regexp.Regexp, list []string) []string {
	for _, s := range mustStrings(policy, list) {
		if !form.MatchString(s) {
			panic(fmt.Sprintf("popauth: %s: %q is no %s", policy, s, what))
		}
	}
	return slices.Clone(list)
}

func mustNames(policy string, list []string) []dn.Name {
	var names []dn.Name
	for _, s := range mustStrings(policy, list) {
		n, err := dn.Parse(s)
		if err != nil {
			panic(fmt.Sprintf("popauth: %s: %q: %v", policy, s, err))
		}
		names = append(names, n)
	}
	return names
}

func named(want []dn.Name, der []byte) bool {
	have, err := dn.ParseDER(der)
	return err == nil && slices.ContainsFunc(want, have.Equal)
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' })
}

// equalASCII folds ASCII alone: to strings.EqualFold the Kelvin sign is a k.
func equalASCII(a, b string) bool { return isASCII(a) && isASCII(b) && strings.EqualFold(a, b) }

func equalMail(a, b string) bool {
	i, j := strings.LastIndexByte(a, '@'), strings.LastIndexByte(b, '@')
	return i > 0 && i == j && a[:i] == b[:j] && equalASCII(a[i:], b[j:])
}

var oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

// uriNames reads the URIs once more: what net/url has read and writes again need not be what stands there.
func uriNames(c *x509.Certificate) []string {
	for _, e := range c.Extensions {
		if !e.Id.Equal(oidSubjectAltName) {
			continue
		}
		var names []asn1.RawValue
		if rest, err := asn1.Unmarshal(e.Value, &names); err != nil || len(rest) > 0 {
			return nil
		}
		var uris []string
		for _, n := range names {
			// RFC 5280, section 4.2.1.6: uniformResourceIdentifier [6]
			if n.Class == asn1.ClassContextSpecific && n.Tag == 6 {
				uris = append(uris, string(n.Bytes))
			}
		}
		return uris
	}
	return nil
}

// oneOf compares in constant time.
func oneOf(sums [][sha256.Size]byte, c *x509.Certificate) bool {
	have, found := sha256.Sum256(c.Raw), 0
	for _, want := range sums {
		found |= subtle.ConstantTimeCompare(want[:], have[:])
	}
	return found == 1
}

// parseThumbprint reads a SHA-256 thumbprint in one of its usual spellings.
func parseThumbprint(s string) (sum [sha256.Size]byte, err error) {
	digits := s
	if len(s)%3 == 2 && strings.Count(s, ":") == len(s)/3 {
		pairs := strings.Split(s, ":")
		if !slices.ContainsFunc(pairs, func(p string) bool { return len(p) != 2 }) {
			digits = strings.Join(pairs, "")
		}
	}
	var b []byte
	switch len(digits) {
	case hex.EncodedLen(sha256.Size):
		b, err = hex.DecodeString(digits)
	case base64.RawURLEncoding.EncodedLen(sha256.Size):
		// encoding/base64 skips line breaks.
		if strings.ContainsAny(digits, "\r\n") {
			return sum, errors.New("not base64url")
		}
		b, err = base64.RawURLEncoding.Strict().DecodeString(digits)
	case hex.EncodedLen(20):
		return sum, errors.New("this is a SHA-1 thumbprint; SHA-256 is needed (openssl x509 -fingerprint -sha256)")
	default:
		return sum, errors.New("not a SHA-256 thumbprint in base64url or hex")
	}
	if err != nil || len(b) != sha256.Size {
		return sum, errors.New("not a SHA-256 thumbprint in base64url or hex")
	}
	return [sha256.Size]byte(b), nil
}
