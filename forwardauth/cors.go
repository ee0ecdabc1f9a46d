package forwardauth

import (
	"errors"
	"fmt"
	"strings"

	"github.com/seed-171ab058/popauth/internal/field"
	"github.com/seed-171ab058/popauth/internal/proxyfile"
)

// CORS are the pages of which a browser may ask the API. Answers to them say so, refusals too, and show WWW-Authenticate and
// DPoP-Nonce; what the API says of this itself is removed.
type CORS struct {
	_ [0]func()

	Origins []string // such as https://app.example.com
	Methods []string // such as GET
	Headers []string // beside Authorization and DPoP, such as Content-Type
}

func (c *CORS) problems() (wrong []error) {
	if c == nil {
		return nil
	}
	if len(c.Origins) == 0 || len(c.Methods) == 0 {
		wrong = append(wrong, errors.New("forwardauth: Site.CORS: Origins and Methods: name at least one of each"))
	}
	for _, origin := range c.Origins {
		scheme, host, _ := strings.Cut(origin, "://")
		if scheme != "https" && scheme != "http" || !proxyfile.IsUpstream(host) && !proxyfile.IsUpstream(host+":1") ||
			strings.HasPrefix(host, "unix:") || strings.ToLower(origin) != origin {
			wrong = append(wrong, fmt.Errorf("forwardauth: Site.CORS.Origins: got %q, want https:// and a host in lower case", origin))
		}
	}
	for _, name := range c.Methods {
		if !field.IsMethod(name) || !fitName(name) {
			wrong = append(wrong, fmt.Errorf("forwardauth: Site.CORS.Methods: got %q, want a method in upper case", name))
		}
	}
	for _, name := range c.Headers {
		if !fitName(name) {
			wrong = append(wrong, fmt.Errorf("forwardauth: Site.CORS.Headers: got %q, want letters, digits and hyphens", name))
		}
	}
	return wrong
}
