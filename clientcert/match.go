package clientcert

import (
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/calls"
	"github.com/seed-171ab058/popauth/internal/certname"
	"github.com/seed-171ab058/popauth/internal/mismatch"
)

// Match is a condition on the caller's certificate, for Require and Check, and by Policy for a Guard. The functions of this
// package make one; the zero Match allows nothing.
type Match struct {
	// allow reads the certificate, which is shared with other requests, and nil if there is none. Known tells that a Match beside
	// this one names the certificate itself, which nobody need have verified then.
	allow func(r *http.Request, c *popauth.Certificate, known bool) error

	names bool // it names the certificate itself
}

// check returns nil if a request with this certificate may pass.
func (m Match) check(r *http.Request, c *popauth.Certificate, known bool) error {
	if m.allow == nil {
		return popauth.ErrForbidden
	}
	return m.allow(r, c, known)
}

func anyNames(matches []Match) bool {
	return slices.ContainsFunc(matches, func(m Match) bool { return m.names })
}

// Policy asks a Guard for a certificate that every one of these accepts, beside whatever the token says:
//
//	guard.Authorize(clientcert.Policy(clientcert.DNS("billing.internal")), popauth.Scope("orders.write"))
//
// A request without a certificate is refused with 403 and popauth.ErrForbidden. It panics without a Match, or with the zero Match.
func Policy(matches ...Match) popauth.Policy {
	whole := AllOf(matches...)
	return popauth.CertificatePolicy(func(r *http.Request, c *popauth.Certificate) error { return whole.allow(r, c, false) })
}

// AnyOf asks for at least one of these. If none accepts the certificate, the refusal is that of the first that could not
// tell, with a status of 500 and above; else of the first. It panics without a Match, or with the zero Match.
func AnyOf(matches ...Match) Match {
	matches = mustMatches("AnyOf", matches)
	return Match{
		names: !slices.ContainsFunc(matches, func(m Match) bool { return !m.names }),
		allow: func(r *http.Request, c *popauth.Certificate, known bool) error {
			var first *popauth.Error
			var all []error
			for _, m := range matches {
				err := m.check(r, c, known)
				if err == nil {
					return nil
				}
				all = append(all, err)
				e := reasonOf(err, popauth.ErrForbidden)
				if first == nil || first.Status() < http.StatusInternalServerError && e.Status() >= http.StatusInternalServerError {
					first = e
				}
			}
			first.Err = errors.Join(all...)
			return first
		},
	}
}

// AllOf asks for every one of these, for a branch of AnyOf. The refusal is that of the first that refuses. It panics without
// a Match, or with the zero Match.
func AllOf(matches ...Match) Match {
	matches = mustMatches("AllOf", matches)
	names := anyNames(matches)
	return Match{
		names: names,
		allow: func(r *http.Request, c *popauth.Certificate, known bool) error {
			for _, m := range matches {
				if err := m.check(r, c, known || names); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// MatchFunc asks allow about the request and its caller's certificate, which somebody has verified, unless a Thumbprint stands
// beside it. The certificate is the function's own; the request is everybody's, and must be left as it is. An error is answered
// with 403 and popauth.ErrForbidden. One that wraps another Reason is answered as that, and one of a context or of a network with
// 503: whoever can't tell has not said no. It panics if allow is nil.
func MatchFunc(allow func(*http.Request, *popauth.Certificate) error) Match {
	if allow == nil {
		panic("clientcert: MatchFunc: nil function")
	}
	return Match{allow: func(r *http.Request, c *popauth.Certificate, known bool) error {
		if c == nil || !known {
			if err := identified(c); err != nil {
				return err
			}
		}
		err := allow(r, c.Clone())
		switch {
		case err == nil:
			return nil
		case calls.IsOutage(err):
			return reasonOf(err, popauth.ErrUnavailable)
		}
		return reasonOf(err, popauth.ErrForbidden)
	}}
}

func mustMatches(function string, matches []Match) []Match {
	if len(matches) == 0 || slices.ContainsFunc(matches, func(m Match) bool { return m.allow == nil }) {
		panic("clientcert: " + function + ": no Match, or the zero Match")
	}
	return slices.Clone(matches)
}

// identified returns nil if the certificate says who the caller is: before somebody has verified it, its names are what the caller
// says of itself.
func identified(c *popauth.Certificate) error {
	if c == nil {
		return &popauth.Error{Reason: popauth.ErrForbidden, Err: errors.New("no certificate")}
	}
	err := c.CheckIdentity()
	if errors.Is(err, certname.ErrNotVerified) {
		return &popauth.Error{Reason: popauth.ErrForbidden, Err: certname.ErrNotVerified}
	}
	return err
}

// ofNames makes a Match of what a verified certificate says.
func ofNames(what string, want []string, fits func(*x509.Certificate) bool) Match {
	return Match{allow: func(_ *http.Request, c *popauth.Certificate, _ bool) error {
		if err := identified(c); err != nil {
			return err
		}
		if fits(c.Leaf) {
			return nil
		}
		return another(what, namesIn(c.Leaf), want)
	}}
}

func another(what, got string, want []string) error {
	return &popauth.Error{Reason: popauth.ErrForbidden, Err: &popauth.Mismatch{
		What: what + " of the certificate", Got: got, Want: mismatch.Any(want),
	}}
}

// namesIn are the names of a certificate, for the log.
func namesIn(c *x509.Certificate) string {
	all := slices.Concat(c.DNSNames, c.EmailAddresses)
	for _, u := range c.URIs {
		all = append(all, u.String())
	}
	for _, a := range c.IPAddresses {
		all = append(all, a.String())
	}
	if len(all) == 0 {
		return "none of its alternative names"
	}
	return "none of " + mismatch.Texts(all)
}

var errSharedRoots = errors.New("roots that are not said to be of its trust domain: set Verification.TrustDomains or RootsFor")

// ofTrustDomain is ofNames for names of which each trust domain has its own authorities.
func ofTrustDomain(what string, want []string, fits func(*x509.Certificate) bool) Match {
	names := ofNames(what, want, fits)
	return Match{allow: func(r *http.Request, c *popauth.Certificate, known bool) error {
		if err := names.allow(r, c, known); err != nil {
			return err
		}
		// What the TLS stack has verified, always by one pool, need not be in Verified yet: see popauth.FindCertificate.
		if c.SharedRoots || c.Verified != popauth.VerifiedLocally && c.Verified != popauth.VerifiedByProxy {
			return &popauth.Error{Reason: popauth.ErrForbidden, Err: errSharedRoots}
		}
		return nil
	}}
}

// DNS asks for a verified certificate with one of these DNS names among its subject alternative names; any
// other is refused with 403 and popauth.ErrForbidden. Case doesn't matter, the rest is to the letter: a wildcard in the
// certificate stands for no other name, and the common name is not looked at. It panics without a name, or with one
// that is not plain ASCII letters, digits, hyphens and dots: an international name is written as its A-labels.
func DNS(names ...string) Match {
	names = mustFit("DNS", "DNS name", hostName, names)
	return ofNames("DNS name", names, func(c *x509.Certificate) bool {
		return certname.Has(c, certname.DNS, names...)
	})
}

// URI asks for a verified certificate with one of these URIs among its subject alternative names, compared
// to the letter as it stands in the certificate; otherwise it is like DNS. It panics without a URI, or with
// one that is not absolute. A SPIFFE ID counts as with SPIFFE.
func URI(uris ...string) Match {
	for _, s := range mustBeGiven("URI", uris) {
		if u, err := url.Parse(s); err != nil || !u.IsAbs() || !isASCII(s) {
			panic(fmt.Sprintf("clientcert: URI: %q is no absolute URI", s))
		}
	}
	has := func(uris []string) func(*x509.Certificate) bool {
		return func(c *x509.Certificate) bool {
			return certname.Has(c, certname.URI, uris...)
		}
	}
	isSPIFFE := func(s string) bool { return strings.HasPrefix(strings.ToLower(s), "spiffe:") }
	if !slices.ContainsFunc(uris, isSPIFFE) {
		return ofNames("URI", slices.Clone(uris), has(slices.Clone(uris)))
	}
	// What of these is a SPIFFE ID needs the authorities of its trust domain, the rest does not.
	spiffe, rest := slices.Clone(uris), slices.DeleteFunc(slices.Clone(uris), isSPIFFE)
	if len(rest) == 0 {
		return ofTrustDomain("URI", spiffe, has(spiffe))
	}
	return AnyOf(ofNames("URI", rest, has(rest)), ofTrustDomain("URI", spiffe, has(spiffe)))
}

// SPIFFE asks for a verified X.509-SVID of one of these workloads, such as spiffe://example.org/batch: the
// certificate's only URI is that SPIFFE ID (X509-SVID, section 2). Otherwise it is like URI.
//
// An authority of one trust domain must not name the workloads of another. So the roots must be those of the ID's trust
// domain: Verification.TrustDomains, or Verification.RootsFor. Verification.Roots and tls.Config.ClientCAs are one pool for
// all names, and are refused here, with 403 and popauth.ErrForbidden, even if there is one trust domain only. What a proxy or a
// source of your own has verified counts. It panics without an ID, or with one that is not a workload's.
func SPIFFE(ids ...string) Match {
	ids = mustFit("SPIFFE", "SPIFFE ID of a workload", spiffeID, ids)
	for _, id := range ids {
		if slices.ContainsFunc(strings.Split(id, "/")[3:], func(s string) bool { return s == "." || s == ".." }) {
			panic(fmt.Sprintf("clientcert: SPIFFE: %q has a relative path segment", id))
		}
	}
	return ofTrustDomain("SPIFFE ID", ids, func(c *x509.Certificate) bool {
		have, _ := certname.URIs(c) // none that counts if they can't be read
		return len(have) == 1 && slices.Contains(ids, have[0])
	})
}

// Email asks for a verified certificate with one of these addresses among its subject alternative names.
// Case doesn't matter after the @, and does before it (RFC 5280, section 7.5). Otherwise it is like DNS.
func Email(addresses ...string) Match {
	addresses = mustFit("Email", "mail address", mailAddress, addresses)
	return ofNames("mail address", addresses, func(c *x509.Certificate) bool {
		return certname.Has(c, certname.Mail, addresses...)
	})
}

// IP asks for a verified certificate with one of these IP addresses among its subject alternative names.
// The address that the request comes from is not looked at. A 4-in-6 address, such as ::ffff:192.0.2.1, asks for the IPv4
// address: certificates have these in four bytes (RFC 5280, section 4.2.1.6), and no other form counts. Otherwise it is like
// DNS. It panics without an address, or with one that is not valid or has a zone.
func IP(addresses ...netip.Addr) Match {
	if len(addresses) == 0 || slices.ContainsFunc(addresses, func(a netip.Addr) bool { return !a.IsValid() || a.Zone() != "" }) {
		panic("clientcert: IP: no address, or not a valid one without zone")
	}
	want, shown := make([]string, len(addresses)), make([]string, len(addresses))
	for i, a := range addresses {
		want[i], shown[i] = string(a.Unmap().AsSlice()), a.Unmap().String()
	}
	return ofNames("IP address", shown, func(c *x509.Certificate) bool { return certname.Has(c, certname.IP, want...) })
}

// Subject asks for a verified certificate whose whole subject is one of these distinguished names, written
// as in RFC 4514: the last RDN first, such as "CN=batch,O=Example,C=DE". They are compared RDN by RDN, the attributes of one in any
// order; values to the letter, whichever string type they are encoded in. Otherwise it is like DNS. It panics without a name, or with
// one that can't be read: for names that aren't in the program's text, there is ParseSubject.
//
// So print it OpenSSL with -nameopt RFC2253, nginx in $ssl_client_s_dn, Apache in SSL_CLIENT_S_DN, Java by X500Principal's getName and
// toString, keytool, and .NET. OpenSSL's other forms, and nginx's and Apache's legacy ones, have the first RDN first: no such form is
// guessed, and the panic says what to write.
func Subject(names ...string) Match { return must(ParseSubject(names...)) }

// ParseSubject is Subject for names from a file, with an error in place of the panic, and then the zero Match.
func ParseSubject(names ...string) (Match, error) {
	return parseNames("Subject", "subject", func(c *x509.Certificate) []byte { return c.RawSubject }, names)
}

// Issuer asks for a verified certificate of one of these issuers; otherwise it is like Subject.
// Two authorities can bear one name: this narrows Verification.Roots down and can't replace them.
func Issuer(names ...string) Match { return must(ParseIssuer(names...)) }

// ParseIssuer is to Issuer what ParseSubject is to Subject.
func ParseIssuer(names ...string) (Match, error) {
	return parseNames("Issuer", "issuer", func(c *x509.Certificate) []byte { return c.RawIssuer }, names)
}

// Thumbprint asks for one of these very certificates, by SHA-256 thumbprint: base64url as in x5t#S256, or
// hex, with or without colons. Nobody need have verified it, since it is known already; its period is then nobody's
// concern either, nor whether crypto/x509 can parse it. Otherwise it is like DNS. It panics without a thumbprint,
// or with one of another kind.
func Thumbprint(thumbprints ...string) Match {
	var want []string
	for _, t := range mustBeGiven("Thumbprint", thumbprints) {
		sum, err := certname.ParseThumbprint(t)
		if err != nil {
			panic("clientcert: Thumbprint: " + err.Error())
		}
		want = append(want, base64.RawURLEncoding.EncodeToString(sum[:]))
	}
	return Match{names: true, allow: func(_ *http.Request, c *popauth.Certificate, _ bool) error {
		if c == nil {
			return &popauth.Error{Reason: popauth.ErrForbidden, Err: errors.New("no certificate")}
		}
		if !oneOf(want, c.Thumbprint) { // popauth has computed it from the bytes
			return another("thumbprint", mismatch.Text(c.Thumbprint), want)
		}
		return nil
	}}
}

var (
	hostName    = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*$`)
	mailAddress = regexp.MustCompile(`^[!-?A-~]+@[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)
	spiffeID    = regexp.MustCompile(`^spiffe://[a-z0-9._-]+(/[A-Za-z0-9._-]+)+$`) // SPIFFE-ID, section 2
)

func mustFit(policy, what string, form *regexp.Regexp, list []string) []string {
	for _, s := range mustBeGiven(policy, list) {
		if !form.MatchString(s) {
			panic(fmt.Sprintf("clientcert: %s: %q is no %s", policy, s, what))
		}
	}
	return slices.Clone(list)
}

// oneOf compares in constant time.
func oneOf(want []string, have string) bool {
	found := 0
	for _, w := range want {
		found |= subtle.ConstantTimeCompare([]byte(w), []byte(have))
	}
	return found == 1
}

func mustBeGiven(function string, list []string) []string {
	if len(list) == 0 || slices.Contains(list, "") {
		panic("clientcert: " + function + ": an empty value allows nothing")
	}
	return slices.Clone(list)
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' })
}
