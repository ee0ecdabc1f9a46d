package clientauth

import (
	"context"
	"crypto/x509"
	"net/http"
	"net/url"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/onerequest"
	"github.com/seed-171ab058/popauth/internal/reply"
)

// arrival is a request's arrival at a certificate endpoint, which only Handler writes down.
type arrival struct {
	by *Authenticator
	*presented
	request *http.Request // as it arrived
	host    string
	leaf    *x509.Certificate // of the connection
}

// is tells whether r is the request that arrived, on the connection that it arrived on, and not another one with its
// context: a batch makes such, and a server for HTTP/2 without TLS that runs inside a handler. Whoever copies the whole
// request and puts another body into it can't be told from http.MaxBytesHandler.
func (x *arrival) is(r *http.Request) bool {
	return x.host == r.Host && x.request.Method == r.Method && x.request.RequestURI == r.RequestURI &&
		onerequest.Same(x.request, r) && onerequest.SameCertificate(x.leaf, onerequest.Leaf(r))
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
// endpoint. Whose certificate it is, Authenticate tells. All other requests it passes on as they are, but for the headers
// of Options.Certificate, which are removed from every request. It panics if next is nil.
func (a *Authenticator) Handler(next http.Handler) http.Handler {
	if next == nil {
		panic("clientauth: Handler: nil handler")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.unconfigured() {
			WriteError(w, ErrUnconfigured)
			return
		}
		r = onerequest.Own(r, nil)
		sent := r
		r = popauth.WithoutHeaders(r, a.options.Certificate) // they are for the source alone
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
		p, refusal := a.presented(sent)
		refusal = endOf(r, refusal)
		if refusal != nil {
			refusal.challenge = challengeFor(r.Header)
			a.deny(w, r, refusal)
			return
		}
		x := &arrival{by: a, presented: p, request: r, host: r.Host, leaf: onerequest.Leaf(r)}
		r = r.WithContext(context.WithValue(r.Context(), arrivalKey{}, x))
		r.URL = ordinary
		reply.NoStore(w.Header()) // RFC 6749, section 5.1
		next.ServeHTTP(w, r)
	})
}

// deny has Options.Deny word the refusal, which it can't turn into anything else.
func (a *Authenticator) deny(w http.ResponseWriter, r *http.Request, e *Error) {
	reply.Refuse(w.Header())
	refusal := reply.NewRefusal(w, e.Status())
	defer refusal.Close()
	a.options.Deny(refusal, reply.Whole(r), e)
	refusal.Finish()
}

func (a *Authenticator) presented(r *http.Request) (*presented, *Error) {
	c, err := a.options.Certificate.Certificate(r)
	switch {
	case err != nil:
		return nil, unreadable(err)
	case c == nil:
		return nil, &Error{Reason: ErrCertificateMissing}
	}
	return newPresented(c)
}

// OriginalURL is the URL with which a request arrived at a certificate endpoint: r.URL before Handler took the prefix
// out. For other requests it is r.URL. It must not be modified.
func OriginalURL(r *http.Request) *url.URL {
	if x, ok := r.Context().Value(arrivalKey{}).(*arrival); ok && x.is(r) {
		return x.request.URL
	}
	return r.URL
}
