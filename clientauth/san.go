package clientauth

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// The kinds of a GeneralName (RFC 5280, section 4.2.1.6), by their tags.
const (
	tagEmail = 1
	tagDNS   = 2
	tagURI   = 6
	tagIP    = 7
)

// alternative is a certificate that has the name among its subject alternative names.
type alternative struct {
	tag   int
	value string
}

// fits looks at the names as the certificate has them: crypto/x509 gives URIs parsed, and two of them may read alike
// afterwards.
func (a alternative) fits(c *x509.Certificate) bool {
	for _, e := range c.Extensions {
		if !e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 17}) {
			continue
		}
		var names []asn1.RawValue
		if rest, err := asn1.Unmarshal(e.Value, &names); err != nil || len(rest) > 0 {
			return false
		}
		return slices.ContainsFunc(names, func(n asn1.RawValue) bool {
			return n.Class == asn1.ClassContextSpecific && n.Tag == a.tag && !n.IsCompound && a.same(string(n.Bytes))
		})
	}
	return false
}

func (a alternative) same(have string) bool {
	switch a.tag {
	case tagDNS:
		return foldASCII(have) == a.value
	case tagEmail:
		return foldDomain(have) == a.value
	}
	return have == a.value
}

// foldASCII leaves alone what is not ASCII: the case mappings of Unicode lead from there into ASCII.
func foldASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// foldDomain leaves the local part of an address as it is (RFC 5280, section 7.5).
func foldDomain(s string) string {
	at := strings.LastIndexByte(s, '@') + 1
	return s[:at] + foldASCII(s[at:])
}

func named(kind, text string, tag int, value string) Credential {
	return Credential{kind, text, TLSClientAuth, alternative{tag, value}}
}

// SANDNS is a certificate with the DNS name given, regardless of case. A wildcard in a certificate stands for itself.
func SANDNS(name string) (Credential, error) {
	if err := hostName(name); err != nil {
		return Credential{}, fmt.Errorf("clientauth: san_dns: %w", err)
	}
	return named("san_dns", name, tagDNS, foldASCII(name)), nil
}

func hostName(s string) error {
	if len(s) > 253 {
		return errors.New("longer than a DNS name can be")
	}
	for label := range strings.SplitSeq(s, ".") {
		// Underscores are common in internal names; a name with other letters must be given in its xn-- form.
		if label == "" || len(label) > 63 ||
			strings.Trim(foldASCII(label), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return errors.New("not a DNS name in ASCII, without wildcard and without a dot at the end")
		}
	}
	return nil
}

// SANURI is a certificate with the URI given, compared character by character.
func SANURI(uri string) (Credential, error) {
	u, err := url.Parse(uri)
	if err != nil || !u.IsAbs() || strings.ContainsFunc(uri, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return Credential{}, errors.New("clientauth: san_uri: not a URI with a scheme, in ASCII")
	}
	return named("san_uri", uri, tagURI, uri), nil
}

// SANIP is a certificate with the IP address given, in any spelling of it.
func SANIP(address string) (Credential, error) {
	a, err := netip.ParseAddr(address)
	if err != nil || a.Zone() != "" {
		return Credential{}, errors.New("clientauth: san_ip: not one IP address without zone")
	}
	// RFC 5280, section 4.2.1.6: four bytes for IPv4, so the mapped form is in no certificate.
	return named("san_ip", address, tagIP, string(a.Unmap().AsSlice())), nil
}

// SANEmail is a certificate with the e-mail address given. Case makes a difference before the @ and none after it.
func SANEmail(address string) (Credential, error) {
	at := strings.LastIndexByte(address, '@')
	if at < 1 || hostName(address[at+1:]) != nil ||
		strings.ContainsFunc(address, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return Credential{}, errors.New("clientauth: san_email: not a mailbox such as batch@example.com, in ASCII")
	}
	return named("san_email", address, tagEmail, foldDomain(address)), nil
}
