package popauth

import (
	"net/http"
	"slices"
	"time"

	"github.com/seed-171ab058/popauth/internal/onerequest"
)

// RequireCertificate returns middleware for routes where the certificate alone says who is calling, without a token:
// it lets a request pass whose certificate somebody has verified, and that every policy allows. With a
// CertificateThumbprint among the policies, the certificate need not be verified. Handlers find it with
// CertificateFromContext. If source is nil, it is CallerCertificate: what a handler further out has found, a Guard's
// Options.Certificate too, and without one TLSCertificate.
//
//	source, err := popauth.Verified(popauth.TLSCertificate(), popauth.Verification{Roots: devices})
//	mux.Handle("POST /readings", popauth.RequireCertificate(source)(readings))
//
// A certificate is ambient authority: a browser sends it with whatever any site's page asks for, so that a cross-site form
// is its owner's request. Put http.NewCrossOriginProtection around such routes, keep GET and HEAD free of effects, and
// compare the Origin of a WebSocket's handshake, which is a GET. Bearer tokens and DPoP need none of that.
//
// A request without a certificate, or with one that is not acceptable, is answered with 403 (RFC 9440, section 2.4),
// never with 401: that promises a challenge which no header could carry. One that can't be read is answered with 400 or
// 431, one that can't be decided about with 503, one over a connection for another host with 421: see TLSCertificate.
// Policies that look at a token refuse. A request line with more than one reading is refused with 400 and
// ErrRequestLine; what an API has to allow nevertheless is said by RequestLine.Handler around it. It panics with the
// zero Policy.
func RequireCertificate(source CertificateSource, policies ...Policy) func(http.Handler) http.Handler {
	if slices.ContainsFunc(policies, func(p Policy) bool { return p.allow == nil }) {
		panic("popauth: RequireCertificate: zero Policy")
	}
	policies = slices.Clone(policies)
	return func(next http.Handler) http.Handler {
		if next == nil {
			panic("popauth: RequireCertificate: nil handler")
		}
		gate := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			x, err := extracted(r) // of the handler around this one, if not of one further out
			if err == nil {
				err = allowCertificate(r, x.found(r), policies)
			}
			if err != nil {
				refuse(w, r, certificateRefused(r, err))
				return
			}
			x.lines.Private(w.Header())
			next.ServeHTTP(w, r)
		})
		if source != nil {
			return oneReading(ClientCertificate(source)(gate))
		}
		return oneReading(inherit(gate))
	}
}

// oneReading refuses a request line by the rules that RequireCertificate goes by.
func oneReading(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if e := readable(r); e != nil {
			refuse(w, r, e)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// readable refuses what is refused before anybody looks for a certificate.
func readable(r *http.Request) *Error {
	if e := (RequestLine{}).read(r); e != nil {
		return e
	}
	return early(r)
}

// CheckCertificate is the decision of RequireCertificate without HTTP output. The error is an *Error, the Certificate
// nil, unless the request may pass. Policies see the request without the headers of source; in r itself they stay: show
// WithoutHeaders(r, source) to others. Caches are not told whose the answer is: see Private. Nothing inside knows of it: a
// source that is nil there is what it would be without.
func CheckCertificate(r *http.Request, source CertificateSource, policies ...Policy) (*Certificate, error) {
	if e := readable(r); e != nil {
		return nil, e
	}
	var c *Certificate
	headers, err := headersOf(source)
	switch {
	case err != nil:
		err = &Error{Reason: ErrUnconfigured, Err: err}
	case source != nil:
		c, err = headers.obtain(source, r)
	default:
		c, err = found(r)
	}
	if err == nil {
		err = allowCertificate(headers.strip(r), c, policies)
	}
	if err != nil {
		return nil, certificateRefused(r, err)
	}
	return c.at(time.Now()).clone(), nil
}

// inherit makes what a request has inherited from an outer handler or its connection available to CertificateFromContext.
func inherit(next http.Handler) http.Handler {
	direct := ClientCertificate(TLSCertificate())(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x, err := extracted(r)
		if x == nil && err == nil {
			direct.ServeHTTP(w, r)
			return
		}
		if c := x.found(r); x != nil && c != x.certificate { // it is no identity for the host that r names by now
			r = own(r)
			d := &decision{finding: finding{
				outer: passed(r), by: &station{source: x.by.source}, arrived: r, leaf: onerequest.Leaf(r), certificate: c,
			}}
			r = d.in(r)
		}
		next.ServeHTTP(w, r) // the gate looks at the error
	})
}

func found(r *http.Request) (*Certificate, error) {
	if x, err := extracted(r); x != nil || err != nil {
		return x.found(r), err
	}
	return tlsSource{}.shared(r)
}

func allowCertificate(r *http.Request, c *Certificate, policies []Policy) error {
	if c == nil {
		return ErrCertificateRequired
	}
	if !slices.ContainsFunc(policies, func(p Policy) bool { return p.known }) {
		if err := c.CheckIdentity(); err != nil {
			return err
		}
	}
	for _, p := range policies {
		if err := p.check(r, &Principal{Certificate: c}); err != nil {
			return refused(err, ErrForbidden)
		}
	}
	return nil
}
