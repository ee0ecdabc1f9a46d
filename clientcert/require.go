package clientcert

import (
	"net/http"
	"slices"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/sampling"
)

// Require returns middleware for routes where the certificate alone says who is calling, without a token: it lets a
// request pass whose certificate somebody has verified, and that every Match accepts. With a Thumbprint among these,
// the certificate need not be verified. Handlers find it with popauth.CertificateFromContext. If source is nil, it is
// popauth.CallerCertificate: what a handler further out has found, a Guard's Options.Certificate too, and without one
// popauth.TLSCertificate.
//
//	source, err := clientcert.Verified(popauth.TLSCertificate(), clientcert.Verification{Roots: devices})
//	mux.Handle("POST /readings", clientcert.Require(source)(readings))
//
// A certificate is ambient authority: a browser sends it with whatever any site's page asks for, so that a cross-site form
// is its owner's request. Put http.NewCrossOriginProtection around such routes, keep GET and HEAD free of effects, and
// compare the Origin of a WebSocket's handshake, which is a GET. Bearer tokens and DPoP need none of that.
//
// A request without a certificate, or with one that is not acceptable, is answered with 403 (RFC 9440, section 2.4),
// never with 401: that promises a challenge which no header could carry. One that can't be read is answered with 400 or
// 431, one that can't be decided about with 503, one over a connection for another host with 421: see popauth.TLSCertificate.
// A request line with more than one reading is refused with 400 and popauth.ErrRequestLine; what an API has to allow
// nevertheless is said by popauth.RequestLine.Handler around it. It panics with the zero Match.
func Require(source popauth.CertificateSource, matches ...Match) func(http.Handler) http.Handler {
	if slices.ContainsFunc(matches, func(m Match) bool { return m.allow == nil }) {
		panic("clientcert: Require: zero Match")
	}
	matches = slices.Clone(matches)
	if source == nil {
		source = popauth.CallerCertificate()
	}
	sampler := &sampling.Sampler{PerPeriod: sampling.DefaultPerPeriod}
	refuse := func(w http.ResponseWriter, r *http.Request, err error) {
		popauth.Refuse(w, r.WithContext(sampling.With(r.Context(), sampler)), err)
	}
	return func(next http.Handler) http.Handler {
		if next == nil {
			panic("clientcert: Require: nil handler")
		}
		gate := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := popauth.FindCertificate(nil, r) // what the handler around this one has found
			if err == nil {
				err = allow(r, c, matches)
			}
			if err != nil {
				refuse(w, r, err)
				return
			}
			next.ServeHTTP(w, r)
		})
		found := popauth.ClientCertificate(source)(gate)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := popauth.CheckRequest(r); err != nil {
				refuse(w, r, err)
				return
			}
			found.ServeHTTP(w, r)
		})
	}
}

// Check is the decision of Require without HTTP output. The error is a *popauth.Error, the Certificate nil,
// unless the request may pass. A Match sees the request without the headers of source; in r itself they stay: show
// popauth.WithoutHeaders(r, source) to others. Caches are not told whose the answer is: see popauth.Private. Nothing inside knows
// of it: a source that is nil there is what it would be without.
func Check(r *http.Request, source popauth.CertificateSource, matches ...Match) (*popauth.Certificate, error) {
	c, err := find(r, source)
	if err == nil {
		err = allow(popauth.WithoutHeaders(r, source), c, matches)
	}
	if err != nil {
		return nil, popauth.Refused(r, err)
	}
	return c.Clone(), nil
}

func find(r *http.Request, source popauth.CertificateSource) (*popauth.Certificate, error) {
	if err := popauth.CheckRequest(r); err != nil {
		return nil, err
	}
	if _, err := headersFor(source); err != nil {
		return nil, &popauth.Error{Reason: popauth.ErrUnconfigured, Err: err}
	}
	return popauth.FindCertificate(source, r)
}

// Recheck is popauth.Guard.Recheck for a request that a handler of Require or popauth.ClientCertificate has let pass, with
// the same matches: it holds what was found against the clock, and against the Verification and its Revoked and Check if the source
// is Verified's; what handlers further out have found, too. A certificate that the TLS stack or a proxy had verified, and that has
// expired meanwhile, counts as one that nobody has verified. A source of your own is not asked again, unless it is a
// popauth.ValidatingSource. popauth.ErrUndecided means that the request has come by no such handler.
func Recheck(r *http.Request, matches ...Match) (*popauth.Certificate, error) {
	if err := (popauth.RequestLine{}).Check(r); err != nil {
		return nil, err
	}
	c, err := popauth.CertificateNow(r)
	if err == nil {
		err = allow(r, c, matches)
	}
	if err != nil {
		return nil, popauth.Refused(r, err)
	}
	return c, nil
}

func allow(r *http.Request, c *popauth.Certificate, matches []Match) error {
	if c == nil {
		return popauth.ErrCertificateRequired
	}
	known := anyNames(matches)
	if !known {
		if err := c.CheckIdentity(); err != nil {
			return err
		}
	}
	for _, m := range matches {
		if err := m.check(r, c, known); err != nil {
			return err
		}
	}
	return nil
}
