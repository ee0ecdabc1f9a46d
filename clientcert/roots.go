package clientcert

import (
	"context"
	"crypto/x509"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/certname"
	"github.com/seed-171ab058/popauth/internal/patience"
	"github.com/seed-171ab058/popauth/internal/settings"
)

var trustDomain = regexp.MustCompile(`^[a-z0-9._-]+$`) // SPIFFE-ID, section 2.1

func (s *verifiedSource) completeRoots(problem settings.Problem) {
	if s.v.RootsFor != nil && (s.v.Roots != nil || s.v.SystemRoots) {
		problem("RootsFor", "it takes the place of Roots and SystemRoots: set one")
	}
	domains := make(map[string]*x509.CertPool, len(s.v.TrustDomains))
	for _, name := range slices.Sorted(maps.Keys(s.v.TrustDomains)) {
		pool := s.v.TrustDomains[name]
		switch {
		case !trustDomain.MatchString(name):
			problem("TrustDomains", "%q is no name of a trust domain, such as example.org", name)
		case pool == nil || pool.Equal(x509.NewCertPool()):
			problem("TrustDomains", "no certificate in the pool of %q", name)
		default:
			domains[name] = pool.Clone()
		}
	}
	s.v.TrustDomains = domains
}

// chained tells whether a certificate can be accepted because of who has issued it.
func (s *verifiedSource) chained() bool {
	return s.v.Roots != nil || s.v.SystemRoots || s.v.RootsFor != nil || len(s.v.TrustDomains) > 0
}

// roots returns the roots that may vouch for the names of a certificate, and whether they are one pool for every name.
// Nil stands for the system's.
func (s *verifiedSource) roots(r *http.Request, leaf *x509.Certificate) (roots *x509.CertPool, pooled bool, err error) {
	if len(s.v.TrustDomains) > 0 {
		uris, ok := certname.URIs(leaf)
		if !ok {
			return nil, false, untrusted("alternative names that can't be read, so its trust domain isn't known")
		}
		// One that is none by the letter, or has another beside it, must not get past its trust domain as another name.
		if slices.ContainsFunc(uris, func(u string) bool { return strings.HasPrefix(strings.ToLower(u), "spiffe:") }) {
			if len(uris) != 1 || !spiffeID.MatchString(uris[0]) {
				return nil, false, untrusted("a SPIFFE ID that is not a workload's, or not its only URI")
			}
			domain := strings.Split(uris[0], "/")[2]
			if roots = s.v.TrustDomains[domain]; roots == nil {
				return nil, false, untrusted("trust domain %.64q is not among TrustDomains", domain)
			}
			return roots, false, nil
		}
	}
	if s.v.RootsFor != nil {
		roots, err = s.v.RootsFor(r, leaf)
		switch {
		case err != nil:
			return nil, false, reasonOf(err, popauth.ErrUnavailable)
		case roots == nil:
			return nil, false, untrusted("RootsFor has no roots for it")
		}
		return roots, false, nil
	}
	if s.v.Roots == nil && !s.v.SystemRoots {
		return nil, false, untrusted("no SPIFFE ID, and there are no other roots than TrustDomains")
	}
	return s.v.Roots, true, nil
}

// unrevoked asks about one way after the other, and returns the first without a revoked certificate: one is enough (RFC
// 5280, section 6).
func (s *verifiedSource) unrevoked(ctx context.Context, paths []certname.Path) ([]*x509.Certificate, error) {
	if s.v.Revoked == nil && len(paths) > 0 {
		return paths[0].Certificates, nil
	}
	var first error
	began := time.Now()
	for i, p := range paths {
		own := ctx
		if len(paths) > 1 { // one request waits no longer for several ways than for one
			own = patience.With(ctx, patience.Place{Began: began, Left: len(paths) - i})
		}
		revoked, err := s.v.Revoked(own, slices.Clone(p.Certificates))
		switch {
		case err != nil:
			err = reasonOf(err, popauth.ErrUnavailable)
		case revoked:
			err = &popauth.Error{Reason: popauth.ErrCertificateRevoked}
		default:
			return p.Certificates, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}
