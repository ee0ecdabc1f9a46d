package proxies_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// field is one header line, sent with its spelling and in its place: net/http would tidy up what an attacker sends.
type field struct{ name, value string }

// reply is what came back.
type reply struct {
	status int
	body   string
}

func host(conn net.Conn) string {
	return strings.Replace(conn.RemoteAddr().String(), "127.0.0.1", "localhost", 1)
}

// exchange1 makes one request over HTTP/1.1.
func exchange1(conn net.Conn, fields []field) (reply, error) {
	return exchangeFor(conn, "/orders", fields)
}

// exchangeFor makes one request over HTTP/1.1 for a target, which need not be a path.
func exchangeFor(conn net.Conn, target string, fields []field) (reply, error) {
	answer, err := exchangeRaw(conn, target, fields)
	if err != nil {
		return reply{}, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return reply{answer.StatusCode, string(body)}, err
}

// exchangeRaw leaves the answer's body to the caller.
func exchangeRaw(conn net.Conn, target string, fields []field) (*http.Response, error) {
	return exchangeMessage(conn, http.MethodGet, target, fields, "")
}

// exchangeMessage sends a body as it is, with its framing.
func exchangeMessage(conn net.Conn, method, target string, fields []field, body string) (*http.Response, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, target, host(conn))
	for _, f := range fields {
		fmt.Fprintf(&b, "%s: %s\r\n", f.name, f.value)
	}
	b.WriteString("\r\n" + body)
	_, _ = io.WriteString(conn, b.String()) // if nobody takes it, there may be an answer that says why
	return http.ReadResponse(bufio.NewReader(conn), nil)
}

// What of HTTP/2 is needed for one request (RFC 9113, section 6).
const (
	frameData, frameHeaders, frameReset, frameSettings, frameGoAway = 0, 1, 3, 4, 7
	flagAck, flagEndStream, flagEndHeaders, flagPadded, flagPrio    = 1, 1, 4, 8, 32
)

var errReset = errors.New("stream or connection reset")

// exchange2 makes one request over HTTP/2.
func exchange2(conn net.Conn, fields []field) (reply, error) {
	block := []byte{}
	for _, f := range append([]field{
		{":method", "GET"}, {":scheme", "https"}, {":authority", host(conn)}, {":path", "/orders"},
	}, fields...) {
		// Literal Header Field without Indexing, New Name: RFC 7541, section 6.2.2
		block = appendString(appendString(append(block, 0), f.name), f.value)
	}
	out := []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	out = appendFrame(out, frameSettings, 0, 0, nil)
	out = appendFrame(out, frameHeaders, flagEndStream|flagEndHeaders, 1, block)
	_, _ = conn.Write(out)
	r := reply{}
	for {
		head := make([]byte, 9)
		if _, err := io.ReadFull(conn, head); err != nil {
			return r, err
		}
		payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		if _, err := io.ReadFull(conn, payload); err != nil {
			return r, err
		}
		kind, flags := head[3], head[4]
		switch {
		case kind == frameReset || kind == frameGoAway:
			return r, errReset
		case kind == frameSettings && flags&flagAck == 0:
			_, _ = conn.Write(appendFrame(nil, frameSettings, flagAck, 0, nil))
			continue
		case kind == frameHeaders:
			var err error
			if r.status, err = statusOf(unpadded(payload, flags)); err != nil {
				return r, err
			}
		case kind == frameData:
			r.body += string(unpadded(payload, flags))
		default:
			continue
		}
		if flags&flagEndStream != 0 {
			return r, nil
		}
	}
}

func appendFrame(b []byte, kind, flags byte, stream uint32, payload []byte) []byte {
	b = append(b, byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload)), kind, flags)
	return append(binary.BigEndian.AppendUint32(b, stream), payload...)
}

func unpadded(payload []byte, flags byte) []byte {
	if flags&flagPadded != 0 {
		payload = payload[1 : len(payload)-int(payload[0])]
	}
	if flags&flagPrio != 0 {
		payload = payload[5:]
	}
	return payload
}

// appendString appends a string literal without Huffman coding: RFC 7541, section 5.2.
func appendString(b []byte, s string) []byte {
	n := len(s)
	if n < 127 {
		b = append(b, byte(n))
	} else {
		b = append(b, 127)
		for n -= 127; n >= 128; n /= 128 {
			b = append(b, byte(n%128+128))
		}
		b = append(b, byte(n))
	}
	return append(b, s...)
}

// statusOf reads :status, the first field of a response's block.
func statusOf(block []byte) (int, error) {
	for len(block) > 0 && block[0]&0xe0 == 0x20 { // Dynamic Table Size Update: RFC 7541, section 6.3
		for more := block[0]&0x1f == 0x1f; more; more = block[0]&0x80 != 0 {
			block = block[1:]
		}
		block = block[1:]
	}
	if len(block) < 2 && (len(block) < 1 || block[0]&0x80 == 0) {
		return 0, errors.New("no status")
	}
	if i := int(block[0]) - 0x88; i >= 0 && i < 7 { // of the static table: RFC 7541, appendix A
		return []int{200, 204, 206, 304, 400, 404, 500}[i], nil
	}
	n := int(block[1] & 0x7f)
	if len(block) < 2+n {
		return 0, errors.New("status cut off")
	}
	text := block[2 : 2+n]
	if block[1]&0x80 != 0 {
		text = huffmanDigits(text)
	}
	return strconv.Atoi(string(text))
}

// huffmanDigits decodes digits, which have codes of five bits up to 2, and of six above: RFC 7541, appendix B.
func huffmanDigits(code []byte) (digits []byte) {
	bits := ""
	for _, c := range code {
		bits += fmt.Sprintf("%08b", c)
	}
	for len(bits) >= 5 {
		five, _ := strconv.ParseUint(bits[:5], 2, 8)
		switch {
		case five <= 2:
			digits, bits = append(digits, '0'+byte(five)), bits[5:]
		case len(bits) >= 6:
			six, _ := strconv.ParseUint(bits[:6], 2, 8)
			if six < 0x19 || six > 0x1f {
				return digits // the padding
			}
			digits, bits = append(digits, '3'+byte(six-0x19)), bits[6:]
		default:
			return digits
		}
	}
	return digits
}
