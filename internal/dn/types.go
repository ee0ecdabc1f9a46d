package dn

import (
	"fmt"
	"slices"
	"strings"
)

// types are the names that may be written in place of an OID, in any case; the first of each is the one that String writes. They
// are those of RFC 4514, section 3, and those that tools print. None may have two meanings: SN is a surname (RFC 4519, OpenSSL,
// Windows), never a serial number.
var types = []struct {
	oid   string
	names []string
}{
	// RFC 4514, and OpenSSL's long names
	{"2.5.4.3", []string{"CN", "commonName"}},
	{"2.5.4.7", []string{"L", "localityName"}},
	{"2.5.4.8", []string{"ST", "stateOrProvinceName", "S"}}, // S: Windows
	{"2.5.4.10", []string{"O", "organizationName"}},
	{"2.5.4.11", []string{"OU", "organizationalUnitName"}},
	{"2.5.4.6", []string{"C", "countryName"}},
	{"2.5.4.9", []string{"STREET", "streetAddress"}},
	{"0.9.2342.19200300.100.1.25", []string{"DC", "domainComponent"}},
	{"0.9.2342.19200300.100.1.1", []string{"UID", "userId"}},
	// OpenSSL; GENERATION, DNQ and T are Java's, G, I and T those of Windows
	{"2.5.4.4", []string{"SN", "surname"}},
	{"2.5.4.5", []string{"serialNumber"}},
	{"2.5.4.42", []string{"GN", "givenName", "G"}},
	{"2.5.4.43", []string{"initials", "I"}},
	{"2.5.4.44", []string{"generationQualifier", "GENERATION"}},
	{"2.5.4.46", []string{"dnQualifier", "DNQ"}},
	{"2.5.4.12", []string{"title", "T"}},
	{"2.5.4.13", []string{"description"}},
	{"2.5.4.15", []string{"businessCategory"}},
	{"2.5.4.16", []string{"postalAddress"}},
	{"2.5.4.17", []string{"postalCode"}},
	{"2.5.4.18", []string{"postOfficeBox"}},
	{"2.5.4.19", []string{"physicalDeliveryOfficeName"}},
	{"2.5.4.20", []string{"telephoneNumber"}},
	{"2.5.4.41", []string{"name"}},
	{"2.5.4.45", []string{"x500UniqueIdentifier"}},
	{"2.5.4.54", []string{"dmdName"}},
	{"2.5.4.65", []string{"pseudonym"}},
	{"2.5.4.72", []string{"role"}},
	{"2.5.4.97", []string{"organizationIdentifier"}},
	{"2.5.4.98", []string{"c3", "countryCode3c"}},
	{"0.9.2342.19200300.100.1.3", []string{"mail", "rfc822Mailbox"}},
	{"1.2.840.113549.1.9.1", []string{"emailAddress", "E"}},
	{"1.2.840.113549.1.9.2", []string{"unstructuredName"}},
	{"1.2.840.113549.1.9.8", []string{"unstructuredAddress"}},
	// of extended validation
	{"1.3.6.1.4.1.311.60.2.1.1", []string{"jurisdictionL", "jurisdictionLocalityName"}},
	{"1.3.6.1.4.1.311.60.2.1.2", []string{"jurisdictionST", "jurisdictionStateOrProvinceName"}},
	{"1.3.6.1.4.1.311.60.2.1.3", []string{"jurisdictionC", "jurisdictionCountryName"}},
}

// attributeType returns the OID.
func attributeType(s string) (string, error) {
	for _, t := range types {
		if slices.ContainsFunc(t.names, func(name string) bool { return strings.EqualFold(name, s) }) {
			return t.oid, nil
		}
	}
	oid := s
	if len(s) > 4 && strings.EqualFold(s[:4], "OID.") { // RFC 1779; Java and Windows
		oid = s[4:]
	}
	// numericoid of RFC 4512, section 1.4
	arcs := strings.Split(oid, ".")
	for _, arc := range arcs {
		if arc == "" || strings.Trim(arc, "0123456789") != "" || len(arc) > 1 && arc[0] == '0' {
			return "", unknownType(s)
		}
	}
	if len(arcs) < 2 {
		return "", unknownType(s)
	}
	return oid, nil
}

func unknownType(s string) error {
	return fmt.Errorf("unknown attribute type %.64q; write its OID, such as 2.5.4.97", s)
}

// typeName is what String writes for an OID.
func typeName(oid string) string {
	for _, t := range types {
		if t.oid == oid {
			return t.names[0]
		}
	}
	return oid
}
