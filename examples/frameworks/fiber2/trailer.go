package fiber2

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// untrailed refuses a chunked request with a header line that isn't in its head. fasthttp merges trailers, undeclared ones
// too, into the headers (RFC 9110, section 6.5.1, forbids it), and a proxy that replaces a header in the head passes on a
// trailer of that name. Merged lines can't be told apart, so the head is parsed once more, by fasthttp.
func untrailed(c *fiber.Ctx) error {
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
	head.VisitAll(func(name, line []byte) { //nolint:staticcheck // fiber v2 is used with fasthttp v1.51, which has no other
		sent[field{strings.ToLower(string(name)), string(line)}]++
	})
	late := ""
	c.Request().Header.VisitAll(func(name, line []byte) { //nolint:staticcheck // as above
		f := field{strings.ToLower(string(name)), string(line)}
		if sent[f]--; sent[f] < 0 && f.name != "content-length" { // fasthttp sets that one where the body is empty
			late = f.name
		}
	})
	if late != "" {
		return refuse(http.StatusBadRequest, "a chunked request has a header that isn't in its head: send no trailers, and let no "+
			"handler outside of the first Stage add headers to requests", late)
	}
	return nil
}
