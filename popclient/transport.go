package popclient

import (
	"crypto/tls"
	"errors"
	"net/http"
	"slices"
	"time"
)

// maxIdle ends connections of a certificate that is no longer used, where the transport has no limit of its own.
const maxIdle = 90 * time.Second

// newTransport shares neither connections nor TLS sessions with any other: with either, a request would be sent on
// behalf of the certificate that they were made with.
func (m *MutualTLS) newTransport(c *tls.Certificate) *http.Transport {
	base := m.options.Transport
	if base == nil {
		base, _ = http.DefaultTransport.(*http.Transport)
	}
	if base == nil || checkTransport(base) != nil { // somebody has replaced it
		base = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 10 * time.Second}
	}
	t := base.Clone()
	offers := t.TLSClientConfig != nil && slices.Contains(t.TLSClientConfig.NextProtos, "h2")
	if len(t.TLSNextProto) > 0 || offers && t.TLSNextProto == nil {
		t.TLSNextProto, t.ForceAttemptHTTP2 = nil, true // Clone shares the pool of whoever has set up HTTP/2, as golang.org/x/net/http2 does
	}
	if t.IdleConnTimeout == 0 {
		t.IdleConnTimeout = maxIdle
	}
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	config := t.TLSClientConfig
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	if m.options.RootCAs != nil {
		config.RootCAs = m.options.RootCAs
	}
	if config.ClientSessionCache != nil {
		config.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	}
	config.Certificates, config.GetClientCertificate = nil, nil
	if c != nil {
		// Through Certificates, one that the server's list of authorities doesn't cover would stay at home.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c, nil }
	}
	return t
}

// checkTransport refuses what would leave the certificate, or the server's, out.
func checkTransport(t *http.Transport) error {
	switch {
	case t == nil:
		return nil
	case t.DialTLSContext != nil || t.DialTLS != nil: //nolint:staticcheck // SA1019: it would be used all the same
		return errors.New("dials TLS itself, and would not present the certificate")
	case t.TLSClientConfig != nil && t.TLSClientConfig.InsecureSkipVerify:
		return errors.New("does not verify servers")
	}
	return nil
}
