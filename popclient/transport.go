package popclient

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"
	"weak"
)

// maxIdle ends connections of a certificate that is no longer used, where the transport has no limit of its own.
const maxIdle = 90 * time.Second

// presents returns the certificate for a handshake.
type presents = func(*tls.CertificateRequestInfo) (*tls.Certificate, error)

// connections are those of one certificate, or without any.
type connections struct {
	direct *http.Transport
	tunnel *http.Transport // for proxies that are reached over TLS; nil if there is no proxy, or no certificate
	proxy  func(*http.Request) (*url.URL, error)
	around http.RoundTripper // what Wrap has put around send; nil: nothing
}

var errWrap = errors.New("popclient: MutualTLSOptions.Wrap has returned nil")

// sender is an http.RoundTripper of a function.
type sender func(*http.Request) (*http.Response, error)

func (s sender) RoundTrip(r *http.Request) (*http.Response, error) { return s(r) }

// wrapped are the connections with what the options' Wrap puts around them.
func (m *MutualTLS) wrapped(c *connections) *connections {
	if m.options.Wrap == nil {
		return c
	}
	if c.around = m.options.Wrap(sender(c.send)); c.around == nil {
		c.around = sender(func(r *http.Request) (*http.Response, error) {
			closeBody(r.Body)
			return nil, errWrap
		})
	}
	return c
}

// newConnections shares nothing with any other, as newTransport says.
func (m *MutualTLS) newConnections(present presents) *connections {
	c := &connections{direct: m.newTransport(present)}
	if c.proxy = c.direct.Proxy; c.proxy == nil || present == nil {
		return c
	}
	c.tunnel = m.newTransport(present)
	c.tunnel.DialTLSContext = strangely(c.tunnel)
	c.direct.Proxy, c.tunnel.Proxy = c.chosen, c.chosen
	return c
}

// RoundTrip implements http.RoundTripper.
func (c *connections) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.around != nil {
		return c.around.RoundTrip(r)
	}
	return c.send(r)
}

// send sends one request. A proxy is shown no certificate: net/http has one TLS configuration for it and for the server
// behind it.
func (c *connections) send(r *http.Request) (*http.Response, error) {
	if c.tunnel == nil {
		return c.direct.RoundTrip(r)
	}
	r, proxy, err := c.choose(r)
	if err != nil {
		closeBody(r.Body)
		return nil, err
	}
	if proxy != nil && proxy.Scheme == "https" {
		return c.tunnel.RoundTrip(r)
	}
	return c.direct.RoundTrip(r)
}

// choose asks for the proxy once for each request: a function that takes turns would name another the next time. What it
// says, nil too, goes with the request that is returned.
func (c *connections) choose(r *http.Request) (*http.Request, *url.URL, error) {
	if chosen, ok := r.Context().Value(proxyKey{c}).(choice); ok && chosen.of == r.URL {
		return r, chosen.proxy, nil
	}
	proxy, err := c.proxy(r)
	if err != nil {
		return r, nil, err
	}
	return r.WithContext(context.WithValue(r.Context(), proxyKey{c}, choice{r.URL, proxy})), proxy, nil
}

// CloseIdleConnections does what that of http.Transport does.
func (c *connections) CloseIdleConnections() {
	c.direct.CloseIdleConnections()
	if c.tunnel != nil {
		c.tunnel.CloseIdleConnections()
	}
}

// proxyKey is of one client's connections: a request may be made while another client dials for its own, in its context.
type proxyKey struct{ of *connections }

// choice is the proxy for the request to this URL.
type choice struct {
	of    *url.URL
	proxy *url.URL // nil: none
}

func (c *connections) chosen(r *http.Request) (*url.URL, error) {
	chosen, _ := r.Context().Value(proxyKey{c}).(choice)
	return chosen.proxy, nil
}

// strangely dials a proxy over TLS without a certificate. A transport asks it for nothing else, if all its requests go by
// such a proxy.
func strangely(t *http.Transport) func(context.Context, string, string) (net.Conn, error) {
	config, timeout := t.TLSClientConfig.Clone(), t.TLSHandshakeTimeout
	config.GetClientCertificate, config.NextProtos = nil, nil
	config.ClientSessionCache = nil // a session of the proxy's would go on at a server of the same name
	dial := t.DialContext
	if own := t.Dial; dial == nil && own != nil { //nolint:staticcheck // SA1019: it would be used all the same
		dial = func(_ context.Context, network, address string) (net.Conn, error) { return own(network, address) }
	}
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		raw, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		own := config.Clone()
		if own.ServerName == "" {
			if own.ServerName, _, err = net.SplitHostPort(address); err != nil {
				_ = raw.Close()
				return nil, err
			}
		}
		if timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, timeout)
			defer cancel()
		}
		c := tls.Client(raw, own)
		if err := c.HandshakeContext(ctx); err != nil {
			_ = raw.Close()
			return nil, err
		}
		return c, nil
	}
}

// retired are transports of certificates that are out of use. There is something to close for as long as a connection holds
// on to its transport.
type retired []weak.Pointer[http.Transport]

func (r *retired) add(c *connections) {
	*r = slices.DeleteFunc(*r, func(p weak.Pointer[http.Transport]) bool { return p.Value() == nil })
	*r = append(*r, weak.Make(c.direct))
	if c.tunnel != nil {
		*r = append(*r, weak.Make(c.tunnel))
	}
}

func (r retired) closeIdle() {
	for _, p := range r {
		if t := p.Value(); t != nil {
			t.CloseIdleConnections()
		}
	}
}

// newTransport shares neither connections nor TLS sessions with any other: with either, a request would be sent on
// behalf of the certificate that they were made with.
func (m *MutualTLS) newTransport(present presents) *http.Transport {
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
		// Clone shares the pool of whoever has set up HTTP/2, as golang.org/x/net/http2 does
		t.TLSNextProto, t.ForceAttemptHTTP2 = nil, true
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
	if m.serverIDs != nil {
		m.serverIDs.configure(config)
	}
	if config.ClientSessionCache != nil {
		config.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	}
	// Through Certificates, one that the server's list of authorities doesn't cover would stay at home.
	config.Certificates, config.GetClientCertificate = nil, present
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
