package probe

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
)

// The bounds of what is read of an answer, in bytes.
const (
	maxHead = 64 << 10
	maxBody = 256 << 10
)

var errAgain = errors.New("stream error: refused")

var errHead = fmt.Errorf("headers of more than %d bytes", maxHead)

// answer is what came of a request. With an error there is no status.
type answer struct {
	status  int
	header  http.Header
	body    []byte
	proto   string
	resumed bool // the TLS session
	err     error
}

// closed tells an end that the other side has chosen: an alert of TLS, or of the connection.
func (a answer) closed() bool {
	var alert tls.AlertError
	var op *net.OpError
	return errors.As(a.err, &alert) || errors.As(a.err, &op) && op.Op == "remote error" || errors.Is(a.err, io.EOF) ||
		errors.Is(a.err, io.ErrUnexpectedEOF) || errors.Is(a.err, syscall.ECONNRESET) || errors.Is(a.err, syscall.EPIPE) || a.closed2()
}

// closed2 tells the same of HTTP/2, whose errors in net/http have no type. The handshake is over then, so that a connection that can't
// be established is one that the server has closed because of the certificate, as it does in TLS 1.3.
func (a answer) closed2() bool {
	if a.err == nil {
		return false
	}
	for _, text := range []string{"stream error: ", "GOAWAY", "http2: client conn could not be established"} {
		if strings.Contains(a.err.Error(), text) {
			return true
		}
	}
	return false
}

// config is the handshake of a link.
func (s *session) config(l link) *tls.Config {
	config := &tls.Config{
		ServerName: s.url.Hostname(), RootCAs: s.options.RootCAs, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		ClientSessionCache: l.sessions,
	}
	if l.http2 {
		config.NextProtos = []string{"h2"}
	}
	if l.version != 0 {
		config.MinVersion, config.MaxVersion = l.version, l.version
	}
	if l.certificate != nil {
		// Whichever authorities the server names, as OpenSSL does.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return l.certificate, nil }
	}
	if l.nameless {
		name, roots := config.ServerName, config.RootCAs
		config.ServerName, config.InsecureSkipVerify = "", true // VerifyConnection does it
		config.VerifyConnection = func(state tls.ConnectionState) error {
			o := x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: x509.NewCertPool()}
			for _, c := range state.PeerCertificates[1:] {
				o.Intermediates.AddCert(c)
			}
			_, err := state.PeerCertificates[0].Verify(o)
			return err
		}
	}
	return config
}

// dial connects to an address that the API's name had when the probe began, and to no other.
func (s *session) dial(ctx context.Context, l link) (net.Conn, error) {
	dialer := &net.Dialer{}
	conn, err := dialer.DialContext(ctx, "tcp", netip.AddrPortFrom(s.addresses[l.address], s.port).String())
	if err != nil || s.url.Scheme == "http" {
		return conn, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	secured := tls.Client(conn, s.config(l))
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secured, nil
}

// exchange sends one request on a connection of its own.
func (s *session) exchange(ctx context.Context, c *call, lines []field) answer {
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	if c.link.http2 {
		return s.exchange2(ctx, c, lines)
	}
	conn, err := s.dial(ctx, c.link)
	if err != nil {
		return answer{err: err}
	}
	defer func() { _ = conn.Close() }()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	// What is refused may be answered before it is read, so that an error in writing isn't the answer.
	_, sent := io.WriteString(conn, c.text(lines))
	a := read(conn, c.method)
	if a.err != nil && sent != nil && !a.closed() {
		a.err = sent
	}
	if secured, ok := conn.(*tls.Conn); ok {
		a.resumed = secured.ConnectionState().DidResume
	}
	return a
}

// text is the request in HTTP/1, of the bytes that the call says.
func (c *call) text(lines []field) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s\r\nHost: %s\r\n", c.method, c.target, c.proto, c.host)
	for _, f := range lines {
		fmt.Fprintf(&b, "%s: %s\r\n", f.name, f.value)
	}
	switch {
	case c.chunked:
		b.WriteString("Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n")
		for _, f := range c.trailer {
			fmt.Fprintf(&b, "%s: %s\r\n", f.name, f.value)
		}
		b.WriteString("\r\n")
	case c.body != "":
		fmt.Fprintf(&b, "Content-Length: %d\r\nConnection: close\r\n\r\n%s", len(c.body), c.body)
	default:
		b.WriteString("Connection: close\r\n\r\n")
	}
	return b.String()
}

func read(conn io.Reader, method string) answer {
	left := &io.LimitedReader{R: conn, N: maxHead}
	r := bufio.NewReader(left)
	for {
		resp, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil && left.N <= 0 {
			return answer{err: errHead} // not the API's end
		}
		if err != nil {
			return answer{err: err}
		}
		if resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		left.N = maxBody
		return answerOf(resp)
	}
}

func answerOf(resp *http.Response) answer {
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxBody)) // a status counts, however the body ends
	return answer{status: resp.StatusCode, header: resp.Header, body: body, proto: resp.Proto}
}

// exchange2 sends a request by HTTP/2.
func (s *session) exchange2(ctx context.Context, c *call, lines []field) answer {
	dialed := false
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	transport := &http.Transport{
		Protocols: &protocols, TLSClientConfig: s.config(c.link), DisableKeepAlives: true, MaxResponseHeaderBytes: maxHead,
		DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			if dialed { // net/http sends a refused stream again: a request that nobody has counted, with a proof that is used
				return nil, errAgain
			}
			dialed = true
			return s.dial(ctx, c.link)
		},
	}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, c.method, s.url.String(), http.NoBody)
	if err != nil {
		return answer{err: err}
	}
	r.Header = http.Header{}
	for _, f := range lines {
		name := http.CanonicalHeaderKey(f.name)
		r.Header[name] = append(r.Header[name], f.value)
	}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return answer{err: err}
	}
	return answerOf(resp)
}
