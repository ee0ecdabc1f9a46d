// Package captured reads a request that somebody has kept: raw HTTP, an entry of a HAR file, or a curl command. It runs nothing, opens
// no file and asks nobody.
package captured

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Max bounds what Read takes, in bytes: HAR files have whole pages in them.
const Max = 64 << 20

const (
	maxCommand = 1 << 20 // of a curl command
	maxHead    = 1 << 20 // of a request line with its headers
)

// Request is a request as a server would read it, without its body.
type Request struct {
	*http.Request

	Kind   string   // raw HTTP, HAR or curl
	Scheme string   // of its URL; "" if raw HTTP doesn't say
	Notes  []string // what was left out, and what may follow from it
}

// Read reads a request. Entry is that of a HAR file, counted from 1; 0 is the only one.
func Read(b []byte, entry int) (*Request, error) {
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	b = bytes.TrimLeft(b, " \t\r\n")
	switch {
	case len(b) == 0:
		return nil, errors.New("empty: want raw HTTP, a HAR file or a curl command")
	case len(b) > Max:
		return nil, fmt.Errorf("more than %d bytes", Max)
	case b[0] == '{':
		return readHAR(b, entry)
	case entry != 0:
		return nil, errors.New("an entry is for a HAR file, and this is none")
	}
	if word, _, _ := bytes.Cut(bytes.TrimPrefix(b, []byte("$ ")), []byte(" ")); string(word) == "curl" || string(word) == "curl.exe" {
		return readCurl(string(bytes.TrimPrefix(b, []byte("$ "))))
	}
	return readRaw(b)
}

// readRaw reads a request line and headers. The lines may end as in a file, and the empty one may be missing.
func readRaw(b []byte) (*Request, error) {
	if b[0] == ':' {
		return nil, errors.New("pseudo-headers of HTTP/2 in place of a request line: copy the request as cURL, or as HAR")
	}
	head := string(b)
	for _, end := range []string{"\r\n\r\n", "\n\n"} {
		head, _, _ = strings.Cut(head, end)
	}
	if len(head) > maxHead {
		return nil, fmt.Errorf("headers of more than %d bytes", maxHead)
	}
	line, rest, _ := strings.Cut(head, "\n")
	line = strings.TrimRight(line, "\r")
	for _, version := range []string{" HTTP/2", " HTTP/2.0", " HTTP/3", " HTTP/3.0"} { // as programs print what they have sent
		if before, ok := strings.CutSuffix(line, version); ok {
			line = before + " HTTP/1.1"
		}
	}
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(line + "\r\n" + strings.TrimRight(rest, "\r\n") + "\r\n\r\n")))
	if err != nil {
		return nil, fmt.Errorf("not a request as RFC 9112 has it: %w", cut(err))
	}
	if r.Host == "" {
		return nil, errors.New("no Host header, so nobody knows what URL was called")
	}
	for name, values := range r.Header {
		if !httpguts.ValidHeaderFieldName(name) || slices.ContainsFunc(values,
			func(v string) bool { return !httpguts.ValidHeaderFieldValue(v) }) {
			return nil, fmt.Errorf("a header that no server takes (RFC 9110, section 5): %.20q", name)
		}
	}
	r.Body = http.NoBody
	return &Request{Request: r, Kind: "raw HTTP"}, nil
}

// cut bounds an error that quotes what it has read, a token perhaps.
func cut(err error) error {
	text := err.Error()
	if at := strings.IndexByte(text, '"'); at >= 0 {
		text = strings.TrimSpace(text[:at]) + " …"
	}
	return errors.New(text)
}

// pair is a header in the order in which it was sent.
type pair struct{ name, value string }

// made is a request of parts, read like any other.
func made(kind, method, target string, headers []pair) (*Request, error) {
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("its URL is none with http or https and a host")
	}
	host := u.Host
	var b strings.Builder
	for _, h := range headers {
		switch {
		case h.name == "" || strings.ContainsAny(h.name+h.value, "\r\n\x00"):
			return nil, fmt.Errorf("a header with a line end in it, or without a name: %.20q", h.name)
		case strings.HasPrefix(h.name, ":"):
		case strings.EqualFold(h.name, "Host"):
			host = h.value
		case strings.EqualFold(h.name, "Transfer-Encoding"), strings.EqualFold(h.name, "Content-Length"): // there is no body here
		default:
			b.WriteString(h.name + ": " + h.value + "\r\n")
		}
	}
	if strings.ContainsAny(method+host, " \r\n\x00") {
		return nil, errors.New("a method or a Host with a space or a line end in it")
	}
	// Not URL.RequestURI: the target stays as it was spelled.
	_, path, _ := strings.Cut(target, "://")
	path, _, _ = strings.Cut(path, "#")
	if at := strings.IndexAny(path, "/?"); at < 0 {
		path = "/"
	} else if path = path[at:]; path[0] == '?' {
		path = "/" + path
	}
	r, err := readRaw([]byte(method + " " + path + " HTTP/1.1\r\nHost: " + host + "\r\n" + b.String()))
	if err != nil {
		return nil, err
	}
	r.Kind, r.Scheme = kind, u.Scheme
	return r, nil
}
