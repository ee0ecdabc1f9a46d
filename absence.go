package popauth

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/seed-171ab058/popauth/internal/managed"
)

// AbsenceExplainer is a CertificateSource that can say why it has found no certificate in a request, for the log: the proxy sent
// none, or the server asks for none. It is called for a request that is refused for that, never for another, and says nothing
// about who may pass. The request is as Certificate has seen it. A source that wraps another may hand the question on. It must not
// block; where it panics, the refusal is answered all the same, and the log says so.
type AbsenceExplainer interface {
	CertificateSource

	// ExplainAbsence returns what was looked for, what came, and what to change; nil if it can't tell.
	ExplainAbsence(*http.Request) error
}

// explainAbsence says in the log why there is no certificate, where that is why a request is refused. Nothing that the explanation
// wraps counts as the refusal's cause.
func explainAbsence(e *Error, source CertificateSource, sent *http.Request) {
	if e.Err != nil || e.Reason != ErrCertificateMissing && e.Reason != ErrCertificateRequired {
		return
	}
	defer func() { // what is for the log alone takes no answer from a client
		if p := recover(); p != nil {
			e.Err = fmt.Errorf("ExplainAbsence of Options.Certificate, a %T, has panicked: %v", source, p)
		}
	}()
	if why := absentBy(source, sent); why != nil {
		e.Err = errors.New(why.Error())
	}
}

// without returns the decision of a handler that has found no certificate. It keeps the request as it came, with the headers that
// the handler removes: what is to be said about them is rarely asked.
func without(source CertificateSource, sent *http.Request) *decision {
	d := &struct {
		decision
		station
	}{station: station{source: source, sent: sent}}
	d.by = &d.station
	return &d.decision
}

// absentBy asks a source, or those that it wraps.
func absentBy(source CertificateSource, sent *http.Request) error {
	if sent == nil { // a certificate was found
		return nil
	}
	switch s := source.(type) {
	case AbsenceExplainer:
		return s.ExplainAbsence(sent)
	case ValidatingSource:
		return absentBy(s.Unwrap(), sent)
	}
	return fmt.Errorf("Options.Certificate, a %T, has found none", source)
}

// ExplainAbsence implements AbsenceExplainer: it asks the handler further out that has looked for a certificate, else the connection.
func (s callerSource) ExplainAbsence(r *http.Request) error {
	if x, err := extracted(r); err == nil && x != nil {
		return absentBy(x.by.source, x.by.sent)
	}
	return s.connection.ExplainAbsence(r)
}

// ExplainAbsence implements AbsenceExplainer.
func (tlsSource) ExplainAbsence(r *http.Request) error {
	switch {
	case r.TLS == nil && others(r, nil) != "":
		return errors.New("the connection has no TLS, and no proxy is configured: if one is in front, set Options.Certificate to what " +
			"package proxy makes" + others(r, nil))
	case r.TLS == nil:
		return errors.New("the connection has no TLS, and no proxy is configured: serve TLS with tls.Config.ClientAuth, or set " +
			"Options.Certificate to what package proxy makes")
	case !isServed(r):
		return errors.New("the connection's client has shown none: this server's tls.Config has to ask for one, by ClientAuth, and the " +
			"client to be configured with its certificate and key" + others(r, nil))
	case asksForNone(r):
		return errors.New("by http.Server.TLSConfig this server asks its clients for none: set ClientAuth there to tls.RequestClientCert " +
			"or more; if it is set in another tls.Config, the client has shown none" + others(r, nil))
	}
	return errors.New("the connection's client was asked for one, and has shown none: it has to be configured with its " +
		"certificate and key" + others(r, nil))
}

// isServed tells whether a request comes from a server of net/http's, whose configuration is known.
func isServed(r *http.Request) bool {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	return ok && server != nil
}

// asksForNone tells whether the server in a request's context is known to ask for no certificate.
func asksForNone(r *http.Request) bool {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok || server == nil {
		return false
	}
	c := server.TLSConfig // net/http makes one where there is none
	return c == nil || c.GetConfigForClient == nil && c.ClientAuth == tls.NoClientCert
}

// ExplainAbsence implements AbsenceExplainer.
func (s *proxiedSource) ExplainAbsence(r *http.Request) error {
	proxied, err := s.proxied(r)
	names := managed.Headers(slices.DeleteFunc(slices.Clone(s.headers), func(h string) bool { return slices.Contains(s.marks, h) }))
	own := strings.Join(names, ", ")
	switch {
	case err != nil:
		return err
	case proxied && own == "":
		return errors.New("what has come by the proxy has no certificate, by its own account: have the proxy ask its clients for one, " +
			"and the client send it" + others(r, s.headers))
	case proxied && names.CarriedBy(r):
		return fmt.Errorf("the proxy, %s, has said by %s that its client has shown none: have the proxy ask for one, and the client "+
			"send it", peerOf(r), own)
	case proxied:
		return fmt.Errorf("the proxy, %s, has sent none of %s: have it ask its clients for a certificate and forward that, unless "+
			"this client has shown none%s",
			peerOf(r), own, others(r, s.headers))
	case names.CarriedBy(r):
		return fmt.Errorf("the peer, %s, is no proxy by the trust rule, so what it sent in %s was ignored: add its address if it is "+
			"yours, "+
			"or else this is a forgery", peerOf(r), own)
	case r.TLS == nil:
		return fmt.Errorf("the peer, %s, is no proxy by the trust rule, and has come without TLS: add its address if it is your proxy; "+
			"else somebody goes around the proxy%s", peerOf(r), others(r, s.headers))
	}
	return fmt.Errorf("the peer, %s, is no proxy by the trust rule; of the connection itself: %w", peerOf(r), s.direct.ExplainAbsence(r))
}

// peerOf is where a request comes from, as its server or a handler further out says.
func peerOf(r *http.Request) string { return fmt.Sprintf("%.64q", r.RemoteAddr) }

// certificateHeaders are those in which proxies forward a certificate, as package proxy has them.
var certificateHeaders = []string{
	"Client-Cert", "X-Forwarded-Client-Cert", "X-Forwarded-Tls-Client-Cert", "X-Client-Cert", "X-Ssl-Cert", "X-Ssl-Client-Cert",
	"Ssl-Client-Cert", "X-Amzn-Mtls-Clientcert", "X-Amzn-Mtls-Clientcert-Leaf", "X-Arr-Clientcert", "Ssl-Client-Certificate",
	"X-Ssl-Client-Certificate", "X-Client-Cert-Leaf", "Cf-Client-Cert-Der-Base64", "Cloudfront-Viewer-Cert-Pem", "X-Ssl-Client-Der",
}

// others names the headers of other proxies' formats that a request has, which nobody has read.
func others(r *http.Request, own managed.Headers) string {
	var found []string
	for _, name := range certificateHeaders {
		if len(r.Header[name]) > 0 && !own.Manages(name) {
			found = append(found, name)
		}
	}
	if len(found) == 0 {
		return ""
	}
	slices.Sort(found)
	return "; the request has " + strings.Join(found, ", ") + ", which Options.Certificate doesn't read: if the proxy writes it anew in " +
		"every request, it is its format, see docs/proxies.md; else it is a client's own"
}
