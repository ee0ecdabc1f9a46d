package popauth

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"net/http"
	"slices"
	"time"

	"github.com/seed-171ab058/popauth/internal/managed"
	"github.com/seed-171ab058/popauth/internal/onerequest"
	"github.com/seed-171ab058/popauth/internal/requestline"
	"github.com/seed-171ab058/popauth/internal/sampling"
)

// ValidatingSource is a CertificateSource that validates what another one finds, as that of clientcert.Verified does. A Guard's
// Recheck and clientcert.Recheck have it validate the certificate of a request once more, and Guards know that it goes by nothing
// but what the other one does. Its Certificate asks the other source by FindCertificate.
type ValidatingSource interface {
	CertificateSource

	// Unwrap returns the source that finds the certificates. It is the same at every call.
	Unwrap() CertificateSource

	// Recheck is what Certificate would return now if the other source found this certificate; never nil. The request is as
	// handlers have it, without the headers that the source reads. Make a new Certificate, as for Certificate: this one is
	// shared with other requests.
	Recheck(*http.Request, *Certificate) (*Certificate, error)
}

// FindCertificate asks a source for the certificate of a request's caller as a Guard does, for a source that validates what it
// finds, and for doors of your own. A nil source is CallerCertificate. The Thumbprint is that of the bytes, whatever the source
// says. What has no bytes is refused with ErrCertificateMalformed, a certificate of more than 16 KiB with ErrCertificateTooLarge,
// and, where the source reads headers, a request that has another one's context with ErrAnotherRequest. The error is an *Error.
//
// The certificate is nil if there is none. It is shared with other requests: change nothing in it. CheckIdentity says whether it
// is an identity. What the TLS stack has verified is evaluated lazily: Verified and Chain are there in a
// Clone only. WithChain makes one of it that you have verified.
func FindCertificate(source CertificateSource, r *http.Request) (*Certificate, error) {
	c, err := findCertificate(source, r)
	if err != nil {
		return nil, errorOf(err, ErrCertificateMalformed)
	}
	return c, nil
}

func findCertificate(source CertificateSource, r *http.Request) (*Certificate, error) {
	if source == nil {
		return callerSource{}.shared(r)
	}
	if ofAnother(r) {
		headers, _ := headersOf(source)
		return obtainBy(headers, source, r)
	}
	return obtain(source, r)
}

// obtainBy asks a source that reads these headers. In a request that has another one's context they may be what a client
// has sent through the proxy's connection, or in a batch: who the peer is says nothing about that.
func obtainBy(headers managed.Headers, source CertificateSource, r *http.Request) (*Certificate, error) {
	if len(headers) > 0 && ofAnother(r) {
		return nil, &Error{Reason: ErrAnotherRequest, Err: errAnotherRequest}
	}
	return obtain(source, r)
}

// sharing is a source of ours whose Certificate is a clone of what it shares with all requests.
type sharing interface {
	shared(r *http.Request) (*Certificate, error)
}

// obtain asks a source. The thumbprint is that of the bytes, whatever a source that isn't ours says; and if that one has
// taken a certificate of ours and put another one into it, then what was found out about the first is not about the second.
func obtain(source CertificateSource, r *http.Request) (*Certificate, error) {
	if s, ok := source.(sharing); ok {
		return s.shared(r)
	}
	c, err := source.Certificate(r)
	if c == nil || err != nil {
		return nil, err
	}
	return taken(source, c)
}

// taken returns what a source has found as popauth goes on with it. Only one that validates makes each anew; any other may give
// the same to another request.
func taken(source CertificateSource, c *Certificate) (*Certificate, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	if _, validates := source.(ValidatingSource); validates && c.isHashed() {
		return c, nil
	}
	return c.asHashed(), nil
}

// goesBy tells whether a source may go by what a handler further out has found.
type goesBy int

const (
	goesByUnknown goesBy = iota // one of somebody else's
	goesByItself                // it finds a certificate anew
	goesByOthers                // it has what they have found
)

// goesByOf tells what a source goes by.
func goesByOf(source CertificateSource) goesBy {
	switch s := source.(type) {
	case tlsSource, *proxiedSource:
		return goesByItself
	case callerSource:
		return goesByOthers
	case ValidatingSource:
		if goesByOf(s.Unwrap()) == goesByItself {
			return goesByItself
		}
	}
	return goesByUnknown
}

// CallerCertificate is the source of a Guard that is given none: what a handler further out has found, be it
// ClientCertificate, clientcert.Require or a Guard with Options.Certificate, and only without such a handler the TLS
// connection's certificate. If that handler has found none, there is none: a proxy's own certificate is never taken for
// the caller's. If it has decided about another request, whose context this one has, or for another connection, the request
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
	sampler := &sampling.Sampler{PerPeriod: sampling.DefaultPerPeriod}
	refuse := func(w http.ResponseWriter, r *http.Request, e *Error) {
		refuse(w, r.WithContext(sampling.With(r.Context(), sampler)), e)
	}
	return func(next http.Handler) http.Handler {
		if next == nil {
			panic("popauth: ClientCertificate: nil handler")
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "PRI" { // the start of HTTP/2 on this very connection, for a handler inside to take up
				refuse(w, r, &Error{Reason: ErrRequestLine, Err: &brokenRule{Rule: requestline.HTTP2, Found: r.Method}})
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
			sent := own(r)
			c, err := obtainBy(headers, source, sent)
			r = headers.Strip(sent)
			if err != nil {
				refuse(w, r, certificateRefused(r, err))
				return
			}
			d := &decision{finding: finding{by: by, certificate: c}}
			if c == nil {
				d = without(source, sent)
			}
			d.outer, d.arrived, d.leaf = passed(r), r, onerequest.Leaf(r)
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
		outer: passed(r), by: &station{source: d.by.source, sent: d.by.sent}, arrived: r, leaf: onerequest.Leaf(r), certificate: c,
	}}
	return here.in(r)
}

// certificateRefused turns what asks for a token into a plain refusal: here is none to ask for.
func certificateRefused(r *http.Request, err error) *Error {
	e := endOf(r.Context(), errorOf(err, ErrCertificateMalformed))
	if x, err := extracted(r); err == nil {
		if x != nil {
			explainAbsence(e, x.by.source, x.by.sent)
		}
	}
	if e.Status() == http.StatusUnauthorized {
		return &Error{Reason: ErrForbidden, Err: e}
	}
	return e
}

// OwnSessions keeps TLS sessions to one tls.Config: call it on each that GetConfigForClient returns. A resumed session brings
// the certificate, and what was verified of it, from the handshake that began it, and crypto/tls lets a session begin under
// one server name and go on under another: configs that GetConfigForClient returns share their ticket keys unless told
// otherwise. So what one name has verified, against its own ClientCAs, would be an identity at the other.
//
// A session of another config, or of an earlier call, is not resumed; the client makes a full handshake then. Make each
// config once, not with every connection: else nothing is ever resumed. Ticket keys are rotated as crypto/tls does, unless
// SetSessionTicketKeys was called. It panics if c is nil or has a WrapSession or UnwrapSession already: those have to tell
// configs apart themselves.
func OwnSessions(c *tls.Config) {
	switch {
	case c == nil:
		panic("popauth: OwnSessions: nil config")
	case c.WrapSession != nil || c.UnwrapSession != nil:
		panic("popauth: OwnSessions: the config has a WrapSession or UnwrapSession: have these tell the sessions of configs apart")
	}
	mark := append([]byte("popauth "), rand.Text()...)
	c.WrapSession = func(state tls.ConnectionState, session *tls.SessionState) ([]byte, error) {
		session.Extra = append(session.Extra, mark)
		return c.EncryptTicket(state, session)
	}
	c.UnwrapSession = func(ticket []byte, state tls.ConnectionState) (*tls.SessionState, error) {
		session, err := c.DecryptTicket(ticket, state)
		// The keys may be another config's too, as Clone copies them.
		if err != nil || session == nil || !slices.ContainsFunc(session.Extra, func(b []byte) bool { return bytes.Equal(b, mark) }) {
			return nil, err
		}
		return session, nil
	}
}
