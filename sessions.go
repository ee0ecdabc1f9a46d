package popauth

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"slices"
)

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
