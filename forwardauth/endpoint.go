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
	"github.com/seed-171ab058/popauth/proxy"
)

// Options configure an Endpoint. New checks them all and reports every problem; what it accepted it has copied.
type Options struct {
	_ [0]func()

	// Guard decides about the original requests. A dpop.Confirmer among its Confirmers has the API's own name as
	// BaseURL, or OriginalURL as URL where the API has several. Its RequestLine is for the original request and the question;
	// see the package's documentation for what an API behind a proxy may need opened. Set its Certificate only to wrap, as
	// in Verified(Forwarded(…)). TLSCertificate is an error: that one is the proxy's.
	Guard popauth.Options

	// Headers are those in which the proxy reports the original request: Nginx, Traefik, Caddy, or others.
	Headers Headers

	// Certificate is the form in which the proxy reports the caller's certificate. With the zero Format callers have
	// none, unless Guard.Certificate finds it.
	Certificate proxy.Format

	// Trust says which peers are the proxy. All rules must hold, and there must be one. Anybody else is refused with
	// 403 and popauth.ErrPeerUntrusted.
	Trust []proxy.Trust

	// Claims names further claims that are handed on, by the header for each, such as "X-Auth-Tenant": "tenant". A
	// claim is a string, at the top level of the token; a token with one of another type is refused with 403. If nil,
	// none. The proxy's configuration needs a line for each, as for X-Auth-Subject: docs/forwardauth.md has them.
	Claims map[string]string
}

// Endpoint answers the requests of a proxy that asks whether another request may pass. It is immutable and safe for
// concurrent use.
type Endpoint struct {
	guard   *popauth.Guard
	trusted func(*http.Request) error
	headers Headers
	line    popauth.RequestLine
	caller  *Identity
}

// New makes an Endpoint. The error lists every problem of the options. It makes no request.
func New(o Options) (*Endpoint, error) {
	var wrong []error
	problem := func(field, format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("forwardauth: Options."+field+": "+format, args...))
	}
	e := &Endpoint{headers: o.Headers.canonical(), line: o.Guard.RequestLine}
	wrong = append(wrong, o.Headers.problems()...)
	var err error
	if e.caller, err = NewIdentity(o.Claims); err != nil {
		problem("Claims", "%w", err)
	}
	if e.trusted, err = proxy.Trusted(o.Trust...); err != nil {
		problem("Trust", "%w", err)
	}
	switch given := len(o.Certificate.Headers()) > 0; {
	case given && o.Guard.Certificate != nil:
		problem("Certificate", "there is a Guard.Certificate as well: set one")
	case given:
		if o.Guard.Certificate, err = proxy.Certificate(o.Certificate, o.Trust...); err != nil {
			problem("Certificate", "%w", err)
		}
	case ofConnection(o.Guard.Certificate):
		problem("Guard", "Certificate: the connection's certificate is the proxy's own")
	case o.Guard.Certificate == nil:
		o.Guard.Certificate = none{}
	}
	if len(o.Certificate.Headers()) == 0 && o.Guard.Certificate != nil {
		o.Guard.Certificate = withSecrets(o.Guard.Certificate, o.Trust)
	}
	if e.guard, err = popauth.New(o.Guard); err != nil {
		problem("Guard", "%w", err)
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	return e, nil
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

// secretive is a source beside which the proxy's secret is in the request, for Trust alone to see.
type secretive struct {
	popauth.CertificateSource
	secrets []string
}

func withSecrets(s popauth.CertificateSource, trust []proxy.Trust) popauth.CertificateSource {
	var secrets []string
	for _, t := range trust {
		secrets = append(secrets, t.Headers()...)
	}
	if len(secrets) == 0 {
		return s
	}
	return secretive{s, secrets}
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
	if err := e.trusted(r); err != nil {
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
