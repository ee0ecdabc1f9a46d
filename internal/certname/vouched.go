package certname

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"
)

const (
	// maxWrong is how many of the intermediates that were sent may be signed by nobody whom they name: a client whose
	// authority has certificates of several roots of one name may send those of roots that aren't trusted, too. The path
	// building of the suites bettertls and x509-limbo needs three.
	maxWrong = 3
	// maxWrongByRoots bounds the roots' signatures that are checked for those, since each root of a name costs one: or one
	// certificate's, if that is more.
	maxWrongByRoots = 12
)

var (
	errWrong = fmt.Errorf("more than %d of the intermediates name an authority that hasn't issued them: send those of the "+
		"certificate's own way alone", maxWrong)
	errManyRoots = fmt.Errorf("intermediates name an authority that hasn't issued them, and to hold more of them against each root of "+
		"that name takes more than %d signatures: send those of the certificate's own way alone", maxWrongByRoots)
	errDown = fmt.Errorf("which of the intermediates of one name has issued which can't be told within %d signatures: "+
		"send those of the certificate's own way alone", MaxSignatures)
)

// onTheWay returns the intermediates that crypto/x509 is to go by, or refuses a leaf whose ways to a root can't be told. What is
// left out is no refusal yet; ended says why some may be.
func onTheWay(leaf *x509.Certificate, sent, configured []*x509.Certificate, roots *x509.CertPool, goos string) (
	found []*x509.Certificate, ended, err error,
) {
	found, err = bounded(leaf, slices.Concat(configured, sent), configured, nil)
	if err != nil || hidesRoots(roots, goos) {
		return found, nil, err
	}
	d := newDescent(roots, configured)
	d.down(vouchable(leaf, found))
	found, err = bounded(leaf, d.good, configured, d.names)
	return found, d.ended, err
}

// hidesRoots tells whether a pool has authorities that its Subjects leave out: the system's, on systems that keep them to
// themselves. With these no intermediate is left out for want of a root, and the bound of the way up is the only one.
func hidesRoots(roots *x509.CertPool, goos string) bool {
	return roots == nil || slices.Contains([]string{"darwin", "ios", "windows"}, goos) && mayHide(roots)
}

// mayHide reads what crypto/x509 doesn't say otherwise. Were the field gone, any pool may be of the system's roots: that
// costs signatures, while the other answer refuses rightful certificates.
func mayHide(pool any) bool {
	field := reflect.ValueOf(pool).Elem().FieldByName("systemPool")
	return !field.IsValid() || field.Kind() != reflect.Bool || field.Bool()
}

// nameCount is how many roots have a name.
type nameCount map[string]int

func namesOfRoots(roots *x509.CertPool) nameCount {
	count := nameCount{}
	if roots != nil {
		for _, name := range roots.Subjects() { //nolint:staticcheck // SA1019: it leaves out the system's roots: see hidesRoots
			count[string(name)]++
		}
	}
	return count
}

// vouchable returns what a descent looks at, those that the key identifiers lead to first, before signatures are used up.
func vouchable(leaf *x509.Certificate, intermediates []*x509.Certificate) []*x509.Certificate {
	all := above(leaf, intermediates, isLikely)
	for _, c := range above(leaf, intermediates, isIssuer) {
		if !contains(all, c) {
			all = append(all, c)
		}
	}
	return all
}

// above returns the intermediates that may sign and that lead up from the leaf, each once.
func above(leaf *x509.Certificate, intermediates []*x509.Certificate, leads func(issuer, c *x509.Certificate) bool) []*x509.Certificate {
	var found []*x509.Certificate
	for below := []*x509.Certificate{leaf}; len(below) > 0; below = below[1:] {
		for _, c := range intermediates {
			if leads(c, below[0]) && maySign(c) && !contains(found, c) {
				found, below = append(found, c), append(below, c)
			}
		}
	}
	return found
}

func contains(all []*x509.Certificate, c *x509.Certificate) bool {
	return slices.ContainsFunc(all, func(other *x509.Certificate) bool { return bytes.Equal(c.Raw, other.Raw) })
}

// isLikely is isIssuer without those whose key identifier is another than the one asked for (RFC 5280, section 4.2.1.1).
func isLikely(issuer, c *x509.Certificate) bool {
	differ := len(issuer.SubjectKeyId) > 0 && len(c.AuthorityKeyId) > 0 && !bytes.Equal(issuer.SubjectKeyId, c.AuthorityKeyId)
	return isIssuer(issuer, c) && !differ
}

// descent finds those of the intermediates above a leaf that one of the roots vouches for, itself or by others of them.
// crypto/x509 begins at the leaf, where a stranger has made all keys and chooses the slowest; from above, the first
// signature that it has made itself is by a key that is not its own, and wrong.
type descent struct {
	roots      *x509.CertPool
	names      nameCount
	configured []*x509.Certificate // on no caller's account
	good       []*x509.Certificate

	failed        map[*x509.Certificate]bool // authorities that they name haven't issued them, and none has yet
	byRoots       int                        // signatures by roots that were checked
	byRootsFailed int                        // and for nothing
	byKeys        int                        // effort by keys of intermediates
	ended         error                      // at a bound: the rest is left out
}

func newDescent(roots *x509.CertPool, configured []*x509.Certificate) *descent {
	return &descent{roots: roots, names: namesOfRoots(roots), configured: configured, failed: map[*x509.Certificate]bool{}}
}

// down sorts those that are vouched for out of the rest. Key identifiers are hints: where they differ, a signature may be
// right, but is looked at last, when all others are found.
func (d *descent) down(rest []*x509.Certificate) {
	rest = d.sort(rest, d.underRoots)
	for i := 0; i < len(d.good); i++ {
		rest = d.sort(rest, func(c *x509.Certificate) bool { return isLikely(d.good[i], c) && d.under(d.good[i], c) })
	}
	for i, likely := 0, len(d.good); i < len(d.good); i++ {
		rest = d.sort(rest, func(c *x509.Certificate) bool {
			return isIssuer(d.good[i], c) && (i >= likely || !isLikely(d.good[i], c)) && d.under(d.good[i], c)
		})
	}
}

// sort moves those that are vouched for to the good ones, and returns the rest.
func (d *descent) sort(all []*x509.Certificate, is func(*x509.Certificate) bool) (rest []*x509.Certificate) {
	for _, c := range all {
		if d.ended == nil && is(c) {
			delete(d.failed, c)
			d.good = append(d.good, c)
			continue
		}
		rest = append(rest, c)
	}
	return rest
}

func (d *descent) underRoots(c *x509.Certificate) bool {
	n := d.names[string(c.RawIssuer)]
	if n == 0 {
		return false
	}
	if contains(d.configured, c) {
		return signedByRoot(c, d.roots)
	}
	if d.byRoots+n > mostByRoots(n) || d.byRootsFailed+n > max(maxWrongByRoots, n) {
		d.ended = errManyRoots
		return false
	}
	d.byRoots += n
	if signedByRoot(c, d.roots) {
		return true
	}
	d.byRootsFailed += n
	d.fail(c)
	return false
}

func (d *descent) under(issuer, c *x509.Certificate) bool {
	if d.byKeys+effort(issuer) > MaxSignatures {
		d.ended = errDown
		return false
	}
	d.byKeys += effort(issuer)
	if c.CheckSignatureFrom(issuer) == nil {
		return true
	}
	if !contains(d.configured, c) {
		d.fail(c)
	}
	return false
}

func (d *descent) fail(c *x509.Certificate) {
	if d.failed[c] = true; len(d.failed) > maxWrong {
		d.ended = errWrong
	}
}

// signedByRoot tells whether a root has signed the certificate, and nothing else: that is for the search to say. crypto/x509
// looks at a root's period after the signature and before its constraint, which must see none but the whole chain. So the
// time is one at which no root is valid: what is refused as outside of a period has the right signature.
func signedByRoot(c *x509.Certificate, roots *x509.CertPool) bool {
	never := time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) // a period ends in 9999 at the latest (RFC 5280, section 4.1.2.5)
	own := *c
	own.UnhandledCriticalExtensions, own.NotAfter = nil, never
	_, err := own.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: x509.NewCertPool(), CurrentTime: never, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err == nil { // it is a root itself
		return true
	}
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	_, unhandled := errors.AsType[x509.UnhandledCriticalExtension](err)
	return invalid || unhandled
}
