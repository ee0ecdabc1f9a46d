package clientauth

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"slices"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/reply"
)

// arrival is a request's arrival at a certificate endpoint, which only Handler writes down.
type arrival struct {
	by          *Authenticator
	certificate *popauth.Certificate
	url         *url.URL      // with which it arrived
	request     *http.Request // as it was passed on
	body        io.ReadCloser
}

// is tells whether r is the request that arrived, and not another one with its context: a batch makes such, and a server
// for HTTP/2 without TLS that runs inside a handler. Middleware passes copies on, in which it replaces the URL (http.StripPrefix),
// the header (http.Request.Clone) or the body (http.MaxBytesHandler), and leaves the other two. What shares one of them, and
// the request line as it was sent, is a copy. A request that is made anew, if with the header or body of the first, has
// another line or none; whoever copies the whole request and puts another body into it can't be told from MaxBytesHandler.
func (x *arrival) is(r *http.Request) bool {
	if x.request.TLS != r.TLS || x.request.Host != r.Host || x.request.Method != r.Method || x.request.RequestURI != r.RequestURI {
		return false
	}
	sameHeader := len(r.Header) > 0 && reflect.ValueOf(x.request.Header).Pointer() == reflect.ValueOf(r.Header).Pointer()
	return r.URL == x.request.URL || sameHeader || sameBody(x.body, r.Body)
}

// sameBody leaves out bodies without an identity of their own, such as http.NoBody, which all empty requests share, and
// pointers to nothing, which may all be one.
func sameBody(a, b io.ReadCloser) bool {
	v, w := reflect.ValueOf(a), reflect.ValueOf(b)
	return v.Kind() == reflect.Pointer && w.Kind() == reflect.Pointer && v.Pointer() == w.Pointer() && v.Type().Elem().Size() > 0
}

type arrivalKey struct{}

// arrived returns nil for a request that has not come itself through this Authenticator's Handler to a certificate
// endpoint.
func (a *Authenticator) arrived(r *http.Request) *arrival {
	if x, ok := r.Context().Value(arrivalKey{}).(*arrival); ok && x.by == a && x.is(r) {
		return x
	}
	return nil
}

// Handler demands a certificate on the certificate endpoints, and passes on what has one, under the path of the ordinary
// endpoint. Whose certificate it is, Authenticate tells. All other requests it passes on as they are. It panics if
// next is nil.
func (a *Authenticator) Handler(next http.Handler) http.Handler {
	if next == nil {
		panic("clientauth: Handler: nil handler")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.unconfigured() {
			WriteError(w, ErrUnconfigured)
			return
		}
		ordinary, ok := a.options.Endpoints.match(r)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		// RFC 8470, section 3: until then nobody has proven to hold a key, and the request may come again.
		if r.TLS != nil && !r.TLS.HandshakeComplete || len(r.Header["Early-Data"]) > 0 {
			a.deny(w, r, &Error{Reason: ErrEarlyData})
			return
		}
		c, refusal := a.certificate(r)
		if refusal != nil {
			refusal.challenge = challengeFor(r.Header)
			a.deny(w, r, refusal)
			return
		}
		x := &arrival{by: a, certificate: c, url: r.URL, body: r.Body}
		r = r.WithContext(context.WithValue(r.Context(), arrivalKey{}, x))
		r.URL = ordinary
		x.request = r
		reply.NoStore(w.Header()) // RFC 6749, section 5.1
		next.ServeHTTP(w, r)
	})
}

// deny has Options.Deny word the refusal, which it can't turn into anything else.
func (a *Authenticator) deny(w http.ResponseWriter, r *http.Request, e *Error) {
	reply.Refuse(w.Header())
	refusal := reply.NewRefusal(w, e.Status())
	a.options.Deny(refusal, reply.Whole(r), e)
	refusal.Finish()
}

func (a *Authenticator) certificate(r *http.Request) (*popauth.Certificate, *Error) {
	c, err := a.options.Certificate.Certificate(r)
	switch {
	case err != nil:
		return nil, unreadable(err)
	case c == nil:
		return nil, &Error{Reason: ErrCertificateMissing}
	case len(c.DER()) == 0 || slices.Contains(c.Intermediates, nil) || slices.Contains(c.Chain, nil):
		return nil, &Error{Reason: ErrCertificateMalformed, Err: errors.New("a source's certificate without content")}
	}
	return c, nil
}

// OriginalURL is the URL with which a request arrived at a certificate endpoint: r.URL before Handler took the prefix
// out. For other requests it is r.URL. It must not be modified.
func OriginalURL(r *http.Request) *url.URL {
	if x, ok := r.Context().Value(arrivalKey{}).(*arrival); ok && x.is(r) {
		return x.url
	}
	return r.URL
}
