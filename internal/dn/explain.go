package dn

import (
	"fmt"
	"slices"
	"strings"
)

// explain adds to the error what tool prints such a text, and the name to write if the text is that tool's. The name is for a
// person to look at: a text alone doesn't tell where its values end, nor which RDN is the first.
func explain(s string, err error) error {
	if len(s) > maxExplained {
		return err
	}
	if label, rest := cutLabel(s); label != "" {
		n, inner := parse(rest, true)
		if inner != nil {
			return fmt.Errorf("%w; %q is no part of the name, and without it: %w", err, label, inner)
		}
		return fmt.Errorf("%w; %q is no part of the name: write %s if the last RDN comes first there, else %s",
			err, label, n, n.reversed())
	}
	switch {
	case strings.HasPrefix(s, "/"):
		return fmt.Errorf("%w; this is a form of OpenSSL that has the first RDN first, and slashes in values as they are: "+
			"print it by -nameopt RFC2253%s", err, or(slashed(s)))
	case strings.Contains(s, " ="):
		n, spacedErr := parse(s, true)
		if spacedErr != nil {
			return err
		}
		return fmt.Errorf("%w; spaces around = are of the form that OpenSSL prints unless asked for another, with the first RDN "+
			"first: print it by -nameopt RFC2253%s", err, or(n.reversed()))
	}
	return err
}

// maxExplained bounds the error.
const maxExplained = 1 << 10

func or(n Name) string {
	if n == nil {
		return ""
	}
	return fmt.Sprintf(", or write %s if that is what it says", n)
}

// cutLabel cuts what openssl x509, keytool and certtool print before a name.
func cutLabel(s string) (label, rest string) {
	for _, label := range []string{"subject=", "issuer=", "subject:", "issuer:", "owner:"} {
		if len(s) >= len(label) && strings.EqualFold(s[:len(label)], label) {
			return s[:len(label)], strings.TrimLeft(s[len(label):], " ")
		}
	}
	return "", s
}

// slashed reads the one-line form, unless it has what may be read in two ways.
func slashed(s string) Name {
	if strings.ContainsAny(s, `\+`) {
		return nil
	}
	var n Name
	for part := range strings.SplitSeq(s[1:], "/") {
		kind, value, ok := strings.Cut(part, "=")
		oid, err := attributeType(kind)
		if !ok || err != nil || value == "" || len(n) == maxAttributes {
			return nil
		}
		n = append(n, []attribute{{kind: oid, value: value}})
	}
	return n
}

func (n Name) reversed() Name {
	other := slices.Clone(n)
	slices.Reverse(other)
	return other
}

// Another is a certificate's name for the log, where it is none of those that are wanted.
func Another(want []Name, have Name) string {
	if slices.ContainsFunc(want, have.reversed().Equal) {
		return have.String() + ", whose RDNs are wanted in the opposite order"
	}
	return have.String()
}
