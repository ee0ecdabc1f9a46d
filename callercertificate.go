package popauth

import (
	"net/http"
	"time"

	"github.com/seed-171ab058/popauth/internal/onerequest"
)

// CallerCertificate is the source of a Guard that is given none: what a handler further out has found, be it
// ClientCertificate, clientcert.Require or a Guard with Options.Certificate, and only without such a handler the TLS
// connection's certificate. If that handler has found none, there is none: a proxy's own certificate is never taken for
// the caller's. If it has asked for another request, whose context this one has, or for another connection, the request
// is refused with ErrAnotherRequest.
func CallerCertificate() CertificateSource {
	return callerSource{tlsSource{memory: newCertificateMemory()}}
}

type callerSource struct{ connection tlsSource }

// Certificate implements CertificateSource.
func (s callerSource) Certificate(r *http.Request) (*Certificate, error) {
	c, err := s.shared(r)
	return c.at(time.Now()).clone(), err
}

func (s callerSource) shared(r *http.Request) (*Certificate, error) {
	if x, err := extracted(r); x != nil || err != nil {
		return x.found(r), err
	}
	return s.connection.shared(r)
}

// Headers implements CertificateSource: it reads none.
func (callerSource) Headers() ([]string, error) { return nil, nil }

// ClientCertificate returns the outermost handler of an API: it asks source once for the caller's certificate, for
// every Guard without a source of its own and for CertificateFromContext. It refuses a request itself: with 400 or 431
// if the certificate can't be read, with 421 if the connection is for another host, and with clientcert.Verified also with 403 or
// 503. The headers that source reads are removed, in the trailer too, and so is an offer to go on with HTTP/2 on a
// plain connection (Upgrade: h2c): what serves that belongs outside of this handler. With CallerCertificate it hands on what
// a handler further out has found, held against the host that the request names by now, and asks the TLS connection if there
// is none. It panics if source is nil or not valid.
func ClientCertificate(source CertificateSource) func(http.Handler) http.Handler {
	if source == nil {
		panic("popauth: ClientCertificate: nil source")
	}
	headers, err := headersOf(source)
	if err != nil {
		panic("popauth: ClientCertificate: " + err.Error())
	}
	callers, inherits := source.(callerSource)
	if inherits {
		source = callers.connection
	}
	by := &station{source: source}
	return func(next http.Handler) http.Handler {
		if next == nil {
			panic("popauth: ClientCertificate: nil handler")
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "PRI" { // the start of HTTP/2 on this very connection, for a handler inside to take up
				refuse(w, r, &Error{Reason: ErrRequestLine, Err: &brokenRule{rule: lineHTTP2, found: r.Method}})
				return
			}
			if inherits {
				x, err := extracted(r)
				switch {
				case err != nil:
					refuse(w, r, certificateRefused(r, err))
					return
				case x != nil:
					x.lines.Private(w.Header())
					next.ServeHTTP(w, x.inherited(r))
					return
				}
			}
			r = own(r)
			c, err := obtainBy(headers, source, r)
			r = headers.Strip(r)
			if err != nil {
				refuse(w, r, certificateRefused(r, err))
				return
			}
			d := &decision{finding: finding{outer: passed(r), by: by, arrived: r, leaf: onerequest.Leaf(r), certificate: c}}
			d.lines.Private(w.Header())
			next.ServeHTTP(w, d.in(r))
		})
	}
}

// inherited returns r with what a handler further out has found, as it is for r: no identity for another host than that of the
// connection, which r may name by now.
func (d *decision) inherited(r *http.Request) *http.Request {
	c := d.found(r)
	if c == d.certificate {
		return r
	}
	r = own(r)
	here := &decision{finding: finding{
		outer: passed(r), by: &station{source: d.by.source}, arrived: r, leaf: onerequest.Leaf(r), certificate: c,
	}}
	return here.in(r)
}

// certificateRefused turns what asks for a token into a plain refusal: here is none to ask for.
func certificateRefused(r *http.Request, err error) *Error {
	e := endOf(r.Context(), refused(err, ErrCertificateMalformed))
	if e.Status() == http.StatusUnauthorized {
		return &Error{Reason: ErrForbidden, Err: e}
	}
	return e
}
