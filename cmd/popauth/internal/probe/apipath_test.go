package probe

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"regexp"
	"strings"
	"time"
)

// strange tells a request for another path that a router behind the guard takes for the resource's.
func (a *api) strange(r *http.Request) bool {
	p := a.pathOf(r)
	if p == "/orders" && !a.has("path-rewritten") {
		return false
	}
	decoded, err := url.PathUnescape(p)
	if err != nil {
		decoded = p
	}
	contains := func(part string) bool { return strings.Contains(strings.ToLower(p), part) }
	is := func(s string) bool { return s == "/orders" }
	switch a.hole {
	case "path-encoded-letter":
		return is(decoded)
	case "path-dot-segments":
		return is(path.Clean(p)) && strings.Contains(p, "/.")
	case "path-encoded-dots":
		return is(path.Clean(decoded)) && contains("%2e")
	case "path-encoded-slash":
		return is(path.Clean(decoded)) && contains("%2f")
	case "path-double-slash":
		return is(path.Clean(p)) && strings.Contains(p, "//")
	case "path-backslash":
		return is(path.Clean(strings.ReplaceAll(decoded, `\`, "/"))) && (contains(`\`) || contains("%5c"))
	case "path-end":
		return is(strings.TrimRight(decoded, "/ ."))
	case "path-parameters":
		return is(path.Clean(regexp.MustCompile(`;[^/]*`).ReplaceAllString(p, ""))) && contains(";")
	case "path-suffix":
		return is(strings.TrimSuffix(p, path.Ext(p)))
	case "path-letter-case":
		return strings.EqualFold(p, "/orders")
	case "path-control":
		before, _, _ := strings.Cut(decoded, "\x00")
		return is(before)
	case "path-double-encoding":
		twice, err := url.PathUnescape(decoded)
		return err == nil && is(path.Clean(twice)) && contains("%25")
	case "path-fragment":
		before, _, found := strings.Cut(p, "#")
		return found && is(before)
	case "path-odd-url":
		_, behind, _ := strings.Cut(p, ":")
		return is(behind)
	case "path-absolute":
		u, err := url.Parse(p)
		return err == nil && u.Host != "" && is(u.Path)
	case "path-empty-authority":
		u, err := url.Parse(p)
		return err == nil && strings.HasPrefix(p, "//") && is(u.Path)
	case "path-rewritten":
		return strings.HasPrefix(r.Header.Get("X-Original-URL"), "/orders") && p != "/orders"
	}
	return false
}

// needLenience are the holes of servers that take what net/http refuses.
var needLenience = []string{
	"lenient", "header-space", "header-folded", "path-backslash", "path-fragment", "path-odd-url", "path-control", "path-double-encoding",
	"path-encoded-dots",
}

var (
	beforeColon = regexp.MustCompile(`(?m)^([A-Za-z0-9-]+) +:`)
	folded      = regexp.MustCompile(`\r\n[ \t]+`)
)

// lenient is a server that takes any request line, and lines of headers as old programs do.
func (l *lab) lenient(h http.Handler) string {
	l.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{l.ca.Server()}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12,
	})
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serveLeniently(conn.(*tls.Conn), h)
		}
	}()
	return "https://" + strings.Replace(listener.Addr().String(), "127.0.0.1", "localhost", 1)
}

func serveLeniently(conn *tls.Conn, h http.Handler) {
	defer conn.Close()
	head, err := readHead(conn)
	if err != nil {
		return
	}
	line, rest, _ := bytes.Cut(head, []byte("\r\n"))
	method, target, _ := strings.Cut(string(line), " ")
	target, _, _ = strings.Cut(target, " HTTP/")
	rest = folded.ReplaceAll(beforeColon.ReplaceAll(rest, []byte("$1:")), []byte("\r\n"))
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(append([]byte(method+" / HTTP/1.1\r\n"), rest...))))
	if err != nil {
		_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"))
		return
	}
	state := conn.ConnectionState()
	r.TLS, r.RequestURI = &state, target
	if _, query, ok := strings.Cut(target, "?"); ok {
		r.URL.RawQuery = query
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	answer := w.Result()
	answer.Close = true
	_ = answer.Write(conn)
	// What is left unread would cut the answer off.
	_ = conn.CloseWrite()
	_ = conn.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = io.Copy(io.Discard, conn)
}

func readHead(conn net.Conn) ([]byte, error) {
	var head []byte
	b := make([]byte, 4096)
	for !bytes.Contains(head, []byte("\r\n\r\n")) {
		n, err := conn.Read(b)
		if head = append(head, b[:n]...); err != nil || len(head) > 1<<20 {
			return nil, err
		}
	}
	return head, nil
}
