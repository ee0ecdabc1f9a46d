package popauth

import (
	"net/http"

	"github.com/seed-171ab058/popauth/internal/managed"
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
// is an identity. What the TLS stack has verified is looked at when somebody first asks for that: Verified and Chain are there in a
// Clone only. WithChain makes one of it that you have verified.
func FindCertificate(source CertificateSource, r *http.Request) (*Certificate, error) {
	c, err := findCertificate(source, r)
	if err != nil {
		return nil, refused(err, ErrCertificateMalformed)
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
