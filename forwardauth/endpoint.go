package forwardauth

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/field"
)

// Options configure an Endpoint. New checks them all and reports every problem; what it accepted it has copied.
type Options struct {
	_ [0]func()

	// Guard decides about the original requests. A dpop.Confirmer among its Confirmers has the API's own name as
	// BaseURL, or OriginalURL as URL where the API has several. Its RequestLine is for the original request and the question;
	// see the package's documentation for what an API behind a proxy may need opened. Its Certificate is the source of the
	// certificate that the proxy reports, as proxy.Certificate makes it with the rules of Proxy. If nil, callers have none.
	// TLSCertificate is an error: that one is the proxy's.
	Guard popauth.Options

	// Headers are those in which the proxy reports the original request: Nginx, Traefik, Caddy, or others.
	Headers Headers

	// Proxy knows the peer that may ask: what proxy.Trusted returns. Anybody else is refused, with 403 unless Check
	// returns another Reason than popauth.ErrPeerUntrusted.
	Proxy Proxy

	// Claims names further claims that are handed on, by the header for each, such as "X-Auth-Tenant": "tenant". A
	// claim is a string, at the top level of the token; a token with one of another type is refused with 403. If nil,
	// none. The proxy's configuration needs a line for each, as for X-Auth-Subject: a Site writes them.
	Claims map[string]string
}

// Proxy knows which requests come from the proxy. A *proxy.TrustedPeer does.
type Proxy interface {
	// Check returns nil for a request of the proxy's.
	Check(*http.Request) error

	// Headers names the headers that Check reads, such as that with a secret. Nobody else gets to see them.
	Headers() []string
}

// Endpoint answers the requests of a proxy that asks whether another request may pass. It is immutable and safe for
// concurrent use.
type Endpoint struct {
	guard   *popauth.Guard
	proxy   Proxy
	headers Headers
	line    popauth.RequestLine
	caller  *Identity
	told    []string // the headers that the source of certificates reads
}

// New makes an Endpoint. The error lists every problem of the options. It makes no request.
func New(o Options) (*Endpoint, error) {
	var wrong []error
	problem := func(field, format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("forwardauth: Options."+field+": "+format, args...))
	}
	e := &Endpoint{proxy: o.Proxy, headers: o.Headers.canonical(), line: o.Guard.RequestLine}
	wrong = append(wrong, o.Headers.problems()...)
	var err error
	if e.caller, err = NewIdentity(o.Claims); err != nil {
		problem("Claims", "%w", err)
	}
	switch {
	case isNil(o.Proxy):
		problem("Proxy", "nil: nobody may ask; proxy.Trusted makes one of the rules by which the proxy is known")
	case ofConnection(o.Guard.Certificate):
		problem("Guard", "Certificate: the connection's certificate is the proxy's own; proxy.Certificate makes a source of the one "+
			"that it reports")
	default:
		if o.Guard.Certificate == nil {
			o.Guard.Certificate = none{}
		}
		o.Guard.Certificate = withSecrets(o.Guard.Certificate, o.Proxy.Headers())
		e.told, _ = o.Guard.Certificate.Headers() // popauth.New reports the error
		for header := range o.Claims {
			if among(slices.Concat(e.headers.names(), e.told), header) {
				problem("Claims", "%s: the proxy tells something else in it: name another header", header)
			}
		}
	}
	if o.Headers.DropsNonces && slices.ContainsFunc(o.Guard.Confirmers, needsNonces) {
		problem("Headers", "the proxy hands on no DPoP-Nonce, and dpop.Options.Nonces asks for one: no client would ever get in; leave "+
			"Nonces off behind it, or have it hand them on and set DropsNonces to false")
	}
	if e.guard, err = popauth.New(o.Guard); err != nil {
		problem("Guard", "%w", err)
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	return e, nil
}

// among tells whether a header has one of these names, in any spelling.
func among(names []string, header string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return field.Fold(name) == field.Fold(header) })
}

// needsNonces tells whether a Confirmer refuses proofs without a nonce, as a dpop.Confirmer with Nonces says of itself.
func needsNonces(c popauth.Confirmer) bool {
	asking, ok := c.(interface{ NeedsNonces() bool })
	return ok && asking.NeedsNonces()
}

// isNil tells whether there is no Proxy, or a nil pointer in it, as beside an error that nobody has looked at.
func isNil(p Proxy) bool {
	v := reflect.ValueOf(p)
	return p == nil || v.Kind() == reflect.Pointer && v.IsNil()
}

// ofConnection goes by the type: each source remembers on its own, so that no two are equal. Verified has a source within.
func ofConnection(s popauth.CertificateSource) bool {
	for {
		within, ok := s.(interface {
			Unwrap() popauth.CertificateSource
		})
		if !ok {
			break
		}
		s = within.Unwrap()
	}
	t := reflect.TypeOf(s)
	return t == reflect.TypeOf(popauth.TLSCertificate()) || t == reflect.TypeOf(popauth.CallerCertificate())
}

// none is the source of an API whose proxy reports no certificates: that of the connection is the proxy's own.
type none struct{}

func (none) Certificate(*http.Request) (*popauth.Certificate, error) { return nil, nil }

func (none) Headers() ([]string, error) { return nil, nil }

// secretive is a source beside which the proxy's secret is in the request, for Proxy alone to see.
type secretive struct {
	popauth.CertificateSource
	secrets []string
}

// withSecrets returns a source that names these headers, too. One that was made with the rules of Proxy does so by itself.
func withSecrets(s popauth.CertificateSource, secrets []string) popauth.CertificateSource {
	names, _ := s.Headers() // popauth.New reports the error
	if !slices.ContainsFunc(secrets, func(secret string) bool { return !slices.Contains(names, secret) }) {
		return s
	}
	return secretive{s, slices.Clone(secrets)}
}

// Headers implements popauth.CertificateSource.
func (s secretive) Headers() ([]string, error) {
	names, err := s.CertificateSource.Headers()
	return slices.Concat(names, s.secrets), err
}

// Authenticate answers as popauth.Guard.Authenticate lets requests pass: bearer tokens too.
func (e *Endpoint) Authenticate() http.Handler { return e.handler(e.guard.Authenticate) }

// Confirm answers as popauth.Guard.Confirm lets requests pass: tokens that are bound.
func (e *Endpoint) Confirm() http.Handler { return e.handler(e.guard.Confirm) }

// Authorize answers as popauth.Guard.Authorize lets requests pass: those that Authenticate would, and that every policy
// allows; with popauth.Bound among them, bound tokens only. Policies see the original request. It panics without a
// policy or with the zero Policy.
func (e *Endpoint) Authorize(policies ...popauth.Policy) http.Handler {
	return e.handler(e.guard.Authorize(policies...))
}

func (e *Endpoint) handler(stage func(http.Handler) http.Handler) http.Handler {
	decide := stage(http.HandlerFunc(e.pass))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if e.headers.OneChallenge {
			w = &joining{ResponseWriter: w}
		}
		original, err := e.original(r)
		if err != nil {
			e.guard.Refuse(w, r, err)
			return
		}
		decide.ServeHTTP(w, original)
	})
}

// original returns the request that a proxy asks about. Its line has one reading, and so has that of the question: a
// proxy may put the original path behind a prefix, and a router in front of the Endpoint choose by it.
func (e *Endpoint) original(r *http.Request) (*http.Request, error) {
	if err := e.proxy.Check(r); err != nil {
		return nil, err
	}
	question := e.line
	question.AllowMethodOverride = true // these headers are the original's, whose method isn't the question's
	if err := question.Check(r); err != nil {
		return nil, err
	}
	if err := e.caller.Check(r.Header); err != nil {
		return nil, err
	}
	original, err := e.headers.original(r)
	if err != nil {
		return nil, err
	}
	if err := e.line.Check(original); err != nil {
		return nil, err
	}
	if err := otherURL(original); err != nil {
		return nil, err
	}
	return original, nil
}

// pass answers 200, with who the request comes from.
func (e *Endpoint) pass(w http.ResponseWriter, r *http.Request) {
	who, _ := popauth.FromContext(r.Context())
	if who.Certificate != nil && who.Certificate.Source == popauth.SourceTLS {
		e.guard.Refuse(w, r, &popauth.Error{Reason: popauth.ErrPeerUntrusted, Err: errOwnCertificate})
		return
	}
	h, err := e.caller.Header(who)
	if err != nil {
		e.guard.Refuse(w, r, err)
		return
	}
	maps.Copy(w.Header(), h)
	// The answer is to this one request, and a proxy may have been told to remember.
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
}

// errOwnCertificate is what a source makes of the proxy's connection whose rules don't know the proxy as Options.Proxy does.
var errOwnCertificate = errors.New("Options.Guard.Certificate found the certificate of the connection, which is the proxy's own: " +
	"give proxy.Certificate the rules that proxy.Trusted has for Options.Proxy")

// joining puts all challenges on one line, as RFC 9110, section 11.6.1, allows: nginx hands on a single one.
type joining struct {
	http.ResponseWriter
	wrote bool
}

func (j *joining) WriteHeader(status int) {
	if lines := j.Header()["Www-Authenticate"]; !j.wrote && len(lines) > 1 {
		j.Header().Set("WWW-Authenticate", strings.Join(lines, ", "))
	}
	j.wrote = j.wrote || status >= 200
	j.ResponseWriter.WriteHeader(status)
}

func (j *joining) Write(b []byte) (int, error) {
	if !j.wrote {
		j.WriteHeader(http.StatusOK)
	}
	return j.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (j *joining) Unwrap() http.ResponseWriter { return j.ResponseWriter }
