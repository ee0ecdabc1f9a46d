package popauth

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/seed-171ab058/popauth/internal/certname"
	"github.com/seed-171ab058/popauth/internal/dn"
)

// certificatePolicy asks about the caller's certificate, which somebody must have verified: before that its names are
// what the caller says of itself.
func certificatePolicy(what string, allow func(*x509.Certificate) bool) Policy {
	return Policy{allow: func(_ *http.Request, p *Principal) error {
		if err := p.identified(); err != nil {
			return err
		}
		return forbidUnless(allow(p.Certificate.Leaf), what)
	}}
}

// identified returns nil if the certificate says who the caller is.
func (p *Principal) identified() error {
	if p.Certificate == nil {
		return &Error{Reason: ErrForbidden, Err: errors.New("no certificate")}
	}
	e := p.Certificate.refusal(time.Now())
	switch {
	case e == nil:
		return nil
	case e.Err == errNobody: //nolint:errorlint // itself
		return &Error{Reason: ErrForbidden, Err: e.Err}
	}
	return e
}

// asOfNow returns a Principal that its owner may change, with the certificate as it stands now.
func (p *Principal) asOfNow() *Principal {
	own := p.clone()
	own.Certificate = p.Certificate.at(time.Now()).clone()
	return own
}

// spiffePolicy is certificatePolicy for names of which each trust domain has its own authorities.
func spiffePolicy(what string, allow func(*x509.Certificate) bool) Policy {
	names := certificatePolicy(what, allow)
	return Policy{allow: func(r *http.Request, p *Principal) error {
		if err := names.allow(r, p); err != nil {
			return err
		}
		if p.Certificate.isPooled() {
			return &Error{Reason: ErrForbidden, Err: errors.New("roots that are not said to be of its trust domain: set Verification.TrustDomains or RootsFor")}
		}
		return nil
	}}
}

// CertificateDNS asks for a verified certificate with one of these DNS names among its subject alternative names; any
// other is refused with 403 and ErrForbidden. Case doesn't matter, the rest is to the letter: a wildcard in the
// certificate stands for no other name, and the common name is not looked at. It panics without a name, or with one
// that is not plain ASCII letters, digits, hyphens and dots: an international name is written as its A-labels.
func CertificateDNS(names ...string) Policy {
	names = mustMatch("CertificateDNS", "DNS name", hostName, names)
	return certificatePolicy("DNS name", func(c *x509.Certificate) bool {
		return certname.Has(c, certname.DNS, names...)
	})
}

// CertificateURI asks for a verified certificate with one of these URIs among its subject alternative names, compared
// to the letter as it stands in the certificate; otherwise it is like CertificateDNS. It panics without a URI, or with
// one that is not absolute. A SPIFFE ID counts as with CertificateSPIFFE.
func CertificateURI(uris ...string) Policy {
	for _, s := range mustStrings("CertificateURI", uris) {
		if u, err := url.Parse(s); err != nil || !u.IsAbs() || !isASCII(s) {
			panic(fmt.Sprintf("popauth: CertificateURI: %q is no absolute URI", s))
		}
	}
	has := func(uris []string) func(*x509.Certificate) bool {
		return func(c *x509.Certificate) bool {
			return certname.Has(c, certname.URI, uris...)
		}
	}
	isSPIFFE := func(s string) bool { return strings.HasPrefix(strings.ToLower(s), "spiffe:") }
	if !slices.ContainsFunc(uris, isSPIFFE) {
		return certificatePolicy("URI", has(slices.Clone(uris)))
	}
	// What of these is a SPIFFE ID needs the authorities of its trust domain, the rest does not.
	spiffe, rest := slices.Clone(uris), slices.DeleteFunc(slices.Clone(uris), isSPIFFE)
	if len(rest) == 0 {
		return spiffePolicy("URI", has(spiffe))
	}
	return AnyOf(certificatePolicy("URI", has(rest)), spiffePolicy("URI", has(spiffe)))
}

// CertificateSPIFFE asks for a verified X.509-SVID of one of these workloads, such as spiffe://example.org/batch: the
// certificate's only URI is that SPIFFE ID (X509-SVID, section 2). Otherwise it is like CertificateURI.
//
// An authority of one trust domain must not name the workloads of another. So the roots must be those of the ID's trust
// domain: Verification.TrustDomains, or Verification.RootsFor. Verification.Roots and tls.Config.ClientCAs are one pool for
// all names, and are refused here, with 403 and ErrForbidden, even if there is one trust domain only. What a proxy or a
// source of your own has verified counts. It panics without an ID, or with one that is not a workload's.
func CertificateSPIFFE(ids ...string) Policy {
	ids = mustMatch("CertificateSPIFFE", "SPIFFE ID of a workload", spiffeID, ids)
	for _, id := range ids {
		if slices.ContainsFunc(strings.Split(id, "/")[3:], func(s string) bool { return s == "." || s == ".." }) {
			panic(fmt.Sprintf("popauth: CertificateSPIFFE: %q has a relative path segment", id))
		}
	}
	return spiffePolicy("SPIFFE ID", func(c *x509.Certificate) bool {
		have, _ := certname.URIs(c) // none that counts if they can't be read
		return len(have) == 1 && slices.Contains(ids, have[0])
	})
}

// CertificateEmail asks for a verified certificate with one of these addresses among its subject alternative names.
// Case doesn't matter after the @, and does before it (RFC 5280, section 7.5). Otherwise it is like CertificateDNS.
func CertificateEmail(addresses ...string) Policy {
	addresses = mustMatch("CertificateEmail", "mail address", mailAddress, addresses)
	return certificatePolicy("mail address", func(c *x509.Certificate) bool {
		return certname.Has(c, certname.Mail, addresses...)
	})
}

// CertificateIP asks for a verified certificate with one of these IP addresses among its subject alternative names.
// The address that the request comes from is not looked at. A 4-in-6 address, such as ::ffff:192.0.2.1, asks for the IPv4
// address: certificates have these in four bytes (RFC 5280, section 4.2.1.6), and no other form counts. Otherwise it is like
// CertificateDNS. It panics without an address, or with one that is not valid or has a zone.
func CertificateIP(addresses ...netip.Addr) Policy {
	if len(addresses) == 0 || slices.ContainsFunc(addresses, func(a netip.Addr) bool { return !a.IsValid() || a.Zone() != "" }) {
		panic("popauth: CertificateIP: no address, or not a valid one without zone")
	}
	want := make([]string, len(addresses))
	for i, a := range addresses {
		want[i] = string(a.Unmap().AsSlice())
	}
	return certificatePolicy("IP address", func(c *x509.Certificate) bool { return certname.Has(c, certname.IP, want...) })
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
// concern either, nor whether crypto/x509 can parse it. Otherwise it is like CertificateDNS. It panics without a thumbprint,
// or with one of another kind.
func CertificateThumbprint(thumbprints ...string) Policy {
	var sums [][sha256.Size]byte
	for _, t := range mustStrings("CertificateThumbprint", thumbprints) {
		sum, err := certname.ParseThumbprint(t)
		if err != nil {
			panic("popauth: CertificateThumbprint: " + err.Error())
		}
		sums = append(sums, sum)
	}
	return Policy{known: true, allow: func(_ *http.Request, p *Principal) error {
		return forbidUnless(len(p.Certificate.raw()) > 0 && certname.OneOf(sums, p.Certificate.digest()), "certificate")
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
