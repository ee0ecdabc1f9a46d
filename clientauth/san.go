package clientauth

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/seed-171ab058/popauth/internal/certname"
)

// alternative is a certificate that has the name among its subject alternative names.
type alternative struct {
	form  certname.Form
	value string
}

func (a alternative) fits(p *presented) bool { return p.names().Has(a.form, a.value) }

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

func named(kind, text string, form certname.Form, value string) Credential {
	return Credential{kind, text, TLSClientAuth, alternative{form, value}}
}

// SANDNS is a certificate with the DNS name given, regardless of case. A wildcard in a certificate stands for itself.
func SANDNS(name string) (Credential, error) {
	if err := hostName(name); err != nil {
		return Credential{}, fmt.Errorf("clientauth: san_dns: %w", err)
	}
	return named("san_dns", name, certname.DNS, foldASCII(name)), nil
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
	return named("san_uri", uri, certname.URI, uri), nil
}

// SANIP is a certificate with the IP address given, in any spelling of it.
func SANIP(address string) (Credential, error) {
	a, err := netip.ParseAddr(address)
	if err != nil || a.Zone() != "" {
		return Credential{}, errors.New("clientauth: san_ip: not one IP address without zone")
	}
	// RFC 5280, section 4.2.1.6: four bytes for IPv4, so the mapped form is in no certificate.
	return named("san_ip", address, certname.IP, string(a.Unmap().AsSlice())), nil
}

// SANEmail is a certificate with the e-mail address given. Case makes a difference before the @ and none after it.
func SANEmail(address string) (Credential, error) {
	at := strings.LastIndexByte(address, '@')
	if at < 1 || hostName(address[at+1:]) != nil ||
		strings.ContainsFunc(address, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return Credential{}, errors.New("clientauth: san_email: not a mailbox such as batch@example.com, in ASCII")
	}
	return named("san_email", address, certname.Mail, foldDomain(address)), nil
}
