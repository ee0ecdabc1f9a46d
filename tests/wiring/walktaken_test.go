package wiring_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// takeover is how the owner asks, by the proxy, for a connection to be taken over, on which others come then.
type takeover struct {
	name    string
	overTLS bool
	offer   string // "" for HTTP/2 by prior knowledge
	then    func(*walk, net.Conn, *bufio.Reader, way, int) []string
	server  *httptest.Server
}

// after are those who come on a connection that was taken over.
var after = []caller{
	{token: "owner", certificate: "thief", forged: "Client_cert"},
	{token: "owner"},
	{},
	{token: "bob", certificate: "bob"},
	{direct: true, token: "owner"}, // the proxy has made a mistake
	{token: "owner", certificate: "owner"},
}

func (w *walk) takeovers() []*takeover {
	all := []*takeover{
		{name: "a server of its own, HTTP/2 without TLS", offer: "tunnel", then: (*walk).byHTTP2},
		{name: "a server of its own, HTTP/1.1", offer: "tunnel", then: (*walk).byHTTP1},
		{name: "a server of its own over TLS", overTLS: true, offer: "tunnel", then: (*walk).byHTTP1},
		{name: "h2c by upgrade", offer: "h2c", then: (*walk).byUpgrade},
		{name: "h2c by prior knowledge", then: (*walk).byHTTP2},
	}
	for _, s := range all {
		s.server = httptest.NewUnstartedServer(http.HandlerFunc(w.current))
		s.server.Config.Protocols = new(http.Protocols)
		s.server.Config.Protocols.SetHTTP1(true)
		if s.overTLS {
			s.server.TLS = &tls.Config{Certificates: []tls.Certificate{w.ca.Server()}, ClientAuth: tls.RequestClientCert}
			s.server.StartTLS()
		} else {
			s.server.Start()
		}
		w.Cleanup(s.server.Close)
	}
	return all
}

func (w *walk) takeOver(y way, s *takeover) {
	w.Helper()
	if s.offer == "tunnel" && !slices.ContainsFunc(y, func(h station) bool { return h.name == "a server of its own" }) {
		return // nobody knows what is offered
	}
	c, err := net.Dial("tcp", s.server.Listener.Addr().String())
	if err != nil {
		w.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	if s.overTLS {
		c = tls.Client(c, w.client("gateway"))
	}
	first := viaProxy[0]
	k := &walker{caller: first, connection: first.connection(s.overTLS), offer: s.offer, preface: s.offer == ""}
	want, taken := y.expect(0, k)
	if s.offer == "" {
		if taken < 0 {
			w.row(y, s.name, first, w.prefaced(c), "no HTTP/2")
			return
		}
		w.others(y, s, k, taken, s.then(w, c, nil, y, taken))
		return
	}
	in := bufio.NewReader(c)
	h := w.header(first)
	h["Upgrade"], h["Connection"] = []string{s.offer}, []string{"Upgrade"}
	if s.offer == "h2c" {
		h["Connection"], h["Http2-Settings"] = []string{"Upgrade, HTTP2-Settings"}, []string{""}
	}
	status, header := w.exchange(c, in, y.path(0), h)
	got := outcome(status, header)
	if status == http.StatusSwitchingProtocols {
		got = "taken over"
	}
	w.row(y, s.name, first, got, want)
	if got == "taken over" && taken >= 0 {
		w.others(y, s, k, taken, s.then(w, c, in, y, taken))
	}
}

// others holds what those who came then have got against what they should.
func (w *walk) others(y way, s *takeover, k *walker, taken int, got []string) {
	for i, c := range after {
		want, _ := y.expect(taken+1, k.inside(c))
		w.row(y, s.name+", then", c, got[i], want)
	}
}

// prefaced begins HTTP/2, and tells whether that is answered.
func (w *walk) prefaced(c net.Conn) string {
	_, _ = io.WriteString(c, http2.ClientPreface)
	_ = http2.NewFramer(c, nil).WriteSettings()
	head := make([]byte, 5)
	if _, err := io.ReadFull(c, head); err == nil && string(head) != "HTTP/" {
		return "HTTP/2"
	}
	return "no HTTP/2"
}

// exchange is one request over HTTP/1.1.
func (w *walk) exchange(c net.Conn, in *bufio.Reader, path string, h http.Header) (int, http.Header) {
	w.Helper()
	var b bytes.Buffer
	_, _ = b.WriteString("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n")
	_ = h.Write(&b)
	_, _ = b.WriteString("\r\n")
	_, _ = c.Write(b.Bytes())
	answer, err := http.ReadResponse(in, &http.Request{Method: http.MethodGet})
	if err != nil {
		w.Fatal(err)
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		_, _ = io.Copy(io.Discard, answer.Body)
	}
	_ = answer.Body.Close()
	return answer.StatusCode, answer.Header
}

func (w *walk) byHTTP1(c net.Conn, in *bufio.Reader, y way, taken int) (got []string) {
	for _, a := range after {
		got = append(got, outcome(w.exchange(c, in, y.path(taken+1), w.header(a))))
	}
	return got
}

// byHTTP2 speaks HTTP/2 by prior knowledge.
func (w *walk) byHTTP2(c net.Conn, _ *bufio.Reader, y way, taken int) (got []string) {
	dial := func(context.Context, string, string, *tls.Config) (net.Conn, error) { return c, nil }
	tr := &http2.Transport{AllowHTTP: true, DialTLSContext: dial} //nolint:staticcheck // it takes a connection that is there
	defer tr.CloseIdleConnections()                               //nolint:staticcheck // as above
	for _, a := range after {
		got = append(got, outcome(w.ask(tr, "http://localhost"+y.path(taken+1), w.header(a))))
	}
	return got
}

// byUpgrade speaks HTTP/2 behind an upgrade: the first stream is the answer to who asked for it.
func (w *walk) byUpgrade(c net.Conn, in *bufio.Reader, y way, taken int) (got []string) {
	_, _ = io.WriteString(c, http2.ClientPreface)
	f := http2.NewFramer(c, in)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_ = f.WriteSettings()
	_ = w.stream(f, 1)
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	for i, a := range after {
		block.Reset()
		for _, field := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":path", y.path(taken + 1)},
			{":authority", "localhost"}} {
			_ = e.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
		}
		for name, lines := range w.header(a) {
			_ = e.WriteField(hpack.HeaderField{Name: strings.ToLower(name), Value: lines[0]})
		}
		id := uint32(2*i + 3)
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndStream: true, EndHeaders: true, BlockFragment: block.Bytes()})
		got = append(got, w.stream(f, id))
	}
	return got
}

// stream waits for the answer on a stream.
func (w *walk) stream(f *http2.Framer, id uint32) string {
	w.Helper()
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			w.Fatal(err)
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				_ = f.WriteSettingsAck()
			}
		case *http2.MetaHeadersFrame:
			if frame.StreamID != id {
				continue
			}
			h := http.Header{}
			for _, field := range frame.RegularFields() {
				h.Add(field.Name, field.Value)
			}
			status, _ := strconv.Atoi(frame.PseudoValue("status"))
			return outcome(status, h)
		}
	}
}
