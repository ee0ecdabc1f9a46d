package popauth

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Recheck holds the decision that let a request pass against the present, for a handler that goes on for long: an event
// stream, a WebSocket, an upload in parts. A stage decides once, when the request comes; a token that expires or is
// revoked afterwards ends nothing by itself.
//
//	for range time.Tick(time.Minute) {
//		if _, err := guard.Recheck(r, popauth.Scope("orders.read")); err != nil {
//			return // end the stream
//		}
//	}
//
// It asks the Verifier about the same token again, which looks at its times and its key and, with Introspection, asks the
// issuer as often as IntrospectionOptions.Remember says; then Options.Revoked, the validation of the certificate, if it
// has any, and the policies given. Possession has been proven for this request and is not asked for again: no proof is
// used up, and the connection is the same. An answer about another issuer, subject, client or cnf is refused.
//
// The error is an *Error, and has been logged and observed; the Principal is nil then. ErrUndecided means that no stage
// of this Guard has let the request pass.
func (g *Guard) Recheck(r *http.Request, policies ...Policy) (*Principal, error) {
	if g == nil || g.options.Verifier == nil {
		return nil, &Error{Reason: ErrUnconfigured}
	}
	if e := g.options.RequestLine.read(r); e != nil {
		g.log(r, e)
		return nil, e
	}
	d := g.decided(r, g.present(r))
	if d == nil {
		return nil, &Error{Reason: ErrUndecided}
	}
	observed := g.observe(r.Context(), StageRecheck)
	now, err := g.recheck(r, d)
	if err == nil {
		err = g.hold(r, now, policies)
	}
	observed(now, err)
	if err != nil {
		g.log(r, err)
		return nil, err
	}
	return now.token.principal(now.certificate), nil
}

var errAnotherToken = errors.New("the Verifier now says another issuer, subject, client or cnf of this token")

// recheck returns the decision as it would be now.
func (g *Guard) recheck(r *http.Request, d *decision) (*decision, *Error) {
	now := *d
	_, token, _ := strings.Cut(d.presented.authorization, " ")
	var hash tokenHash
	var err error
	now.token, now.remembered, err = g.verify(r.Context(), strings.TrimLeft(token, " "), &hash)
	if err != nil {
		e := refused(err, ErrTokenInvalid)
		now.token = d.token
		return &now, e
	}
	if !now.token.sameHolder(d.token) {
		now.token = d.token
		return &now, &Error{Reason: ErrTokenInvalid, Err: errAnotherToken, token: d.token}
	}
	now.certificate, err = recheckCertificate(g.source, r, d.certificate, g.options.Now())
	if err != nil {
		e := refused(err, ErrCertificateMalformed)
		e.token = d.token
		return &now, e
	}
	return &now, nil
}

func (t *Token) sameHolder(u *Token) bool {
	return t.Issuer == u.Issuer && t.Subject == u.Subject && t.ClientID == u.ClientID && slices.Equal(t.bindings, u.bindings)
}

// RecheckCertificate is Recheck for a request that a handler of RequireCertificate or ClientCertificate has let pass: it
// holds the certificate against the clock, and against the Verification and its Revoked if the source is Verified's, and
// asks the policies given. A certificate that the TLS stack or a proxy had verified, and that has expired meanwhile,
// counts as one that nobody has verified. A source of your own is not asked again. ErrUndecided means that the request
// has come by no such handler.
func RecheckCertificate(r *http.Request, policies ...Policy) (*Certificate, error) {
	if e := (RequestLine{}).read(r); e != nil {
		return nil, e
	}
	x := extracted(r)
	if x == nil {
		return nil, &Error{Reason: ErrUndecided}
	}
	c, err := recheckCertificate(x.source, r, x.certificate, time.Now())
	if err == nil {
		err = allowCertificate(r, c, policies)
	}
	if err != nil {
		return nil, certificateRefused(err)
	}
	return c.clone(), nil
}

// recheckCertificate returns a certificate as its source would give it now.
func recheckCertificate(source CertificateSource, r *http.Request, c *Certificate, now time.Time) (*Certificate, error) {
	if c == nil {
		return nil, nil
	}
	switch s := source.(type) {
	case *verifiedSource:
		return s.recheck(r, c)
	case callerSource:
		if x := extracted(r); x != nil && x.source != nil {
			return recheckCertificate(x.source, r, c, now)
		}
	}
	if c.Verified == NotVerified || within(now, c.Leaf.NotBefore, c.Leaf.NotAfter) {
		return c, nil
	}
	expired := *c
	expired.Verified = NotVerified
	return &expired, nil
}

// recheck validates what the source inside has found before.
func (s *verifiedSource) recheck(r *http.Request, c *Certificate) (*Certificate, error) {
	if inner, ok := s.source.(*verifiedSource); ok {
		if _, err := inner.recheck(r, c); err != nil {
			return nil, err
		}
	}
	return s.verify(r, c)
}
