package fiber

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v3"
	"github.com/valyala/fasthttp"
)

// untrailed refuses a chunked request with a header line that isn't in its head. fasthttp merges trailers, undeclared ones
// too, into the headers (RFC 9110, section 6.5.1, forbids it), and a proxy that replaces a header in the head passes on a
// trailer of that name. Merged lines can't be told apart, so the head is parsed once more, by fasthttp.
func untrailed(c fiber.Ctx) error {
	raw := c.Request().Header.RawHeaders()
	if !bytes.Contains(bytes.ToLower(raw), []byte("transfer-encoding")) {
		return nil // there are no trailers without
	}
	text := "POST / " + string(c.Request().Header.Protocol()) + "\r\n" + string(raw)
	var head fasthttp.RequestHeader
	if err := head.Read(bufio.NewReaderSize(strings.NewReader(text), len(text))); err != nil {
		return refuse(http.StatusBadRequest, "the head of the request can't be read", "")
	}
	type field struct{ name, line string }
	sent := map[field]int{}
	for name, line := range head.All() {
		sent[field{strings.ToLower(string(name)), string(line)}]++
	}
	for name, line := range c.Request().Header.All() {
		f := field{strings.ToLower(string(name)), string(line)}
		if sent[f]--; sent[f] < 0 && f.name != "content-length" { // fasthttp sets that one where the body is empty
			return refuse(http.StatusBadRequest, "a chunked request has a header that isn't in its head: send no trailers, and let no "+
				"handler outside of the first Stage add headers to requests", string(name))
		}
	}
	return nil
}
