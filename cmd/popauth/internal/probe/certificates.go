package probe

import (
	"crypto/rand"
	"crypto/tls"
	"math/big"
	"net/http"
)

func newSerial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return big.NewInt(1)
	}
	return n.Add(n, big.NewInt(1))
}

func certificateChecks() []Check {
	const want = "401, invalid_token, or no connection"
	none := func(_ *session, c *call) { c.link.certificate = nil }
	other := func(s *session, c *call) { c.link.certificate = s.other }
	http2 := func(_ *session, c *call) { c.link.http2 = true }
	return []Check{
		{Name: "certificate-missing", Section: "RFC 8705, section 3", Severity: Critical, needs: needsCert,
			Title: "the token without a certificate", Want: want, run: refuse(none)},
		{Name: "certificate-other", Section: "RFC 8705, section 3", Severity: Critical, needs: needsCert | needsOther,
			Title: "the token with another certificate", Want: want, run: refuse(other)},
		{Name: "certificate-same-subject", Section: "RFC 8705, section 3.1", Severity: Critical, needs: needsCert,
			Title: "the token with another certificate of the same subject and names", Want: want,
			run: refuse(func(s *session, c *call) { c.link.certificate = s.namesake })},
		{Name: "certificate-same-serial", Section: "RFC 8705, section 3.1", Severity: Critical, needs: needsCert,
			Title: "the token with another certificate of the same subject, issuer's name, serial number and key identifier", Want: want,
			run: refuse(func(s *session, c *call) { c.link.certificate = s.successor })},
		{Name: "certificate-in-chain", Section: "RFC 8705, section 3.1", Severity: Critical, needs: needsCert | needsOther,
			Title: "the token with another certificate, and the owner's behind it in the chain",
			Want:  want + ": the first one's key is proved",
			run:   refuse(func(s *session, c *call) { c.link.certificate = s.withOwners })},
		{Name: "certificate-same-key", Section: "RFC 8705, section 3.1", Severity: Low, needs: needsCert,
			Title: "the token with another certificate of the owner's key", Want: want + ": the token names the certificate",
			run: refuse(func(s *session, c *call) { c.link.certificate = s.sameKey })},
		{Name: "certificate-second-connection", Section: "RFC 8705, section 3", Severity: Critical, needs: needsCert,
			Title: "the token without a certificate, right after the owner, on a connection of its own", Want: want, run: secondConnection},
		{Name: "certificate-http2", Section: "RFC 8705, section 3", Severity: Critical, needs: needsCert | needsHTTP2,
			Title: "the token over HTTP/2, without a certificate", Want: want, run: refuse(none, http2)},
		{Name: "certificate-http2-other", Section: "RFC 8705, section 3", Severity: Critical, needs: needsCert | needsHTTP2 | needsOther,
			Title: "the token over HTTP/2, with another certificate", Want: want, run: refuse(other, http2)},
		{Name: "certificate-http10", Section: "RFC 8705, section 3", Severity: High, needs: needsCert,
			Title: "the token in HTTP/1.0, without a certificate", Want: want,
			run: refuse(none, func(_ *session, c *call) { c.proto = "HTTP/1.0" })},
		{Name: "certificate-tls12", Section: "RFC 8705, section 7.3", Severity: High, needs: needsCert,
			Title: "the token over TLS 1.2, without a certificate", Want: want,
			run: refuse(none, func(_ *session, c *call) { c.link.version = tls.VersionTLS12 })},
		{Name: "certificate-no-server-name", Section: "RFC 6066, section 3", Severity: High, needs: needsCert,
			Title: "the token without a certificate, in a handshake that names no server", Want: want,
			run: refuse(none, func(_ *session, c *call) { c.link.nameless = true })},
		{Name: "certificate-resumed", Section: "RFC 8446, section 2.2", Severity: Critical, needs: needsCert | needsOther,
			Title: "the token over a resumed session that began with another certificate", Want: want,
			run: resumed(tls.VersionTLS13, other)},
		{Name: "certificate-resumed-none", Section: "RFC 8446, section 2.2", Severity: Critical, needs: needsCert,
			Title: "the token over a resumed session that began without a certificate", Want: want, run: resumed(tls.VersionTLS13, none)},
		{Name: "certificate-resumed-tls12", Section: "RFC 5246, section 7.3", Severity: Critical, needs: needsCert,
			Title: "the token over a resumed session of TLS 1.2 that began with another certificate, or with none", Want: want,
			run: resumed(tls.VersionTLS12, other, none)},
		{Name: "certificate-head", Section: "RFC 9110, section 9.3.2", Severity: High, needs: needsCert | needsOther,
			Title: "HEAD with the token and another certificate", Want: "what GET is answered",
			run: refuse(other, func(_ *session, c *call) { c.method = http.MethodHead })},
		{Name: "certificate-dpop-scheme", Section: "RFC 9449, section 7.1", Severity: Critical, needs: needsCert,
			Title: "the token without its certificate, under the scheme DPoP with a thief's proof", Want: "401", run: dpopInstead},
		{Name: "tls-old", Section: "RFC 9325, section 3.1.1", Severity: Medium, needs: needsTLS, Title: "a handshake of TLS 1.1 or 1.0",
			Want: "no connection", run: oldTLS},
	}
}

func secondConnection(s *session) verdict {
	if a := s.send(s.owner()); !s.accepted(a) {
		return unclear("the owner's own request came to %s", a.outcome())
	}
	return s.refused(variant{"", func(c *call) { c.link.certificate = nil }})
}

// resumed begins a session, and sends the token in the one that it resumes.
func resumed(version uint16, changes ...func(*session, *call)) func(*session) verdict {
	return func(s *session) verdict {
		did := false
		for _, change := range changes {
			sessions := tls.NewLRUClientSessionCache(4)
			for range 3 { // TLS 1.3 brings tickets after the handshake
				c := s.owner()
				change(s, c)
				c.link.version, c.link.sessions = version, sessions
				a := s.send(c)
				if why := a.unknown(); why != "" {
					return unclear("%s", why)
				}
				if did = did || a.resumed; a.resumed && s.accepted(a) {
					return found("answered with %s, as the owner is", a.outcome())
				}
			}
		}
		if !did {
			return skipped("the API resumes no such session")
		}
		return passed()
	}
}

// dpopInstead confirms with a key of the thief's what is bound to a certificate.
func dpopInstead(s *session) verdict {
	return s.judge(s.accepted, s.stolen, []variant{
		{"", func(c *call) { c.scheme, c.proof = "DPoP", &proof{key: s.thief, nonce: true} }},
		{"without a proof", func(c *call) { c.scheme = "DPoP" }},
	})
}

// oldTLS sends no token.
func oldTLS(s *session) verdict {
	for version, name := range map[uint16]string{tls.VersionTLS11: "TLS 1.1", tls.VersionTLS10: "TLS 1.0"} {
		c := s.stolen()
		c.without()
		c.link.version = version
		if a := s.send(c); a.err == nil {
			return found("%s was answered with %s", name, a.outcome())
		}
	}
	return passed()
}
