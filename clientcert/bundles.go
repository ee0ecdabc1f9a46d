package clientcert

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/certname"
)

// A Bundle has the authorities of a SPIFFE trust domain, as *x509bundle.Bundle of go-spiffe has them.
type Bundle interface {
	X509Authorities() []*x509.Certificate
}

// A BundleSource has the bundles of trust domains as they are now. D is what a trust domain is, and B its bundle: go-spiffe's
// x509bundle.Source is one, with spiffeid.TrustDomain and *x509bundle.Bundle.
type BundleSource[D any, B Bundle] interface {
	GetX509BundleForTrustDomain(domain D) (B, error)
}

// Bundles returns a function for Verification.RootsFor: the roots of a certificate are those that the source has for the trust
// domain in its SPIFFE ID, at each request. Parse makes a trust domain of its name.
//
//	clientcert.Verification{RootsFor: clientcert.Bundles(source, spiffeid.TrustDomainFromString)}
//
// An authority that is new counts for the next request, and one that was withdrawn for none, on connections and sessions that
// have begun before, too. A certificate without a SPIFFE ID of a workload as its only URI is refused, as is one of a trust
// domain for which source has an error, both with 403; an error of the source that wraps another Reason is answered by that,
// such as ErrUnavailable.
//
// It panics if source or parse is nil.
func Bundles[D any, B Bundle](
	source BundleSource[D, B], parse func(name string) (D, error),
) func(*http.Request, *x509.Certificate) (*x509.CertPool, error) {
	if source == nil || parse == nil {
		panic("clientcert: Bundles: nil source or parse")
	}
	b := &bundles[D, B]{source: source, parse: parse, pools: map[string]*bundlePool{}}
	return b.roots
}

type bundles[D any, B Bundle] struct {
	source BundleSource[D, B]
	parse  func(string) (D, error)

	mu    sync.RWMutex
	pools map[string]*bundlePool // of the trust domains that source knows
}

// bundlePool is one set of authorities. Results are remembered for its pool, so the pool stays as long as they do.
type bundlePool struct {
	authorities []*x509.Certificate
	pool        *x509.CertPool
}

func (b *bundles[D, B]) roots(_ *http.Request, leaf *x509.Certificate) (*x509.CertPool, error) {
	name, err := trustDomainOf(leaf)
	if err != nil {
		return nil, err
	}
	domain, err := b.parse(name)
	if err != nil {
		return nil, &popauth.Error{Reason: popauth.ErrCertificateUntrusted, Err: err}
	}
	bundle, err := b.source.GetX509BundleForTrustDomain(domain)
	if err != nil {
		b.forget(name)
		return nil, reasonOf(fmt.Errorf("bundle of trust domain %.64q: %w", name, err), popauth.ErrCertificateUntrusted)
	}
	if isNil(bundle) {
		b.forget(name)
		return nil, untrusted("the source has neither a bundle of trust domain %.64q nor an error", name)
	}
	authorities := bundle.X509Authorities()
	if len(authorities) == 0 || slices.Contains(authorities, nil) {
		b.forget(name)
		return nil, untrusted("the bundle of trust domain %.64q has no authority, or a nil one", name)
	}
	b.mu.RLock()
	known := b.pools[name]
	b.mu.RUnlock()
	if known != nil && slices.EqualFunc(known.authorities, authorities, (*x509.Certificate).Equal) {
		return known.pool, nil
	}
	known = &bundlePool{authorities: slices.Clone(authorities), pool: x509.NewCertPool()}
	for _, c := range known.authorities {
		known.pool.AddCert(c)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pools[strings.Clone(name)] = known
	return known.pool, nil
}

func (b *bundles[D, B]) forget(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.pools, name)
}

// isNil tells of no bundle: a source may return its map's entry as it is.
func isNil(bundle Bundle) bool {
	v := reflect.ValueOf(bundle)
	return bundle == nil || v.Kind() == reflect.Pointer && v.IsNil()
}

// trustDomainOf returns the trust domain of a workload's SPIFFE ID, which must be the only URI (X509-SVID, section 2).
func trustDomainOf(leaf *x509.Certificate) (string, error) {
	uris, ok := certname.URIs(leaf)
	switch {
	case !ok:
		return "", untrusted("alternative names that can't be read, so its trust domain isn't known")
	case len(uris) != 1 || !spiffeID.MatchString(uris[0]):
		return "", untrusted("got %d URIs, want a workload's SPIFFE ID as the only one", len(uris))
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(uris[0], "spiffe://"), "/")
	return name, nil
}
