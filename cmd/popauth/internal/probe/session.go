package probe

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

// session is one probe. Its requests come one after the other, but for those that are sent at once to see whether both pass.
type session struct {
	ctx       context.Context // of the whole probe
	options   Options
	url       *url.URL
	addresses []netip.Addr
	port      uint16
	limit     *rate.Limiter
	sent      int

	token *token // nil: it is no JWT
	thief *Key
	lookalike
	control answer // to the owner
	stable  bool   // the owner gets the same body each time
	http2   bool   // the API speaks it, and the owner passes by it
	// Whether one without a certificate, and one with the other, gets as far as an answer.
	noneConnects, otherConnects bool
	nonce                       string // the last that the API has sent
	nonces                      bool   // it asks for them
	proof                       string // the last one sent
	refusals                    []refusal
	seen                        map[string]answer // by what was sent
}

// refusal is an answer that was none to the owner's request.
type refusal struct {
	answer
	leaked bool   // it repeats the token or the proof
	trace  string // of the program's inside, that it has
}

var errMethod = errors.New("the method was not allowed")

var errBudget = errors.New("no more requests: see MaxRequests")

// send makes one request, within rate and number.
func (s *session) send(c *call) answer {
	if !s.options.allows(c.method) {
		return answer{err: errMethod}
	}
	if err := s.take(1); err != nil {
		return answer{err: err}
	}
	a := s.once(c)
	if c.proof != nil && c.proof.nonce && c.proof.text == "" && a.status >= 400 && a.header.Get("DPoP-Nonce") != "" &&
		strings.Contains(strings.Join(a.header.Values("WWW-Authenticate"), " "), "use_dpop_nonce") {
		if err := s.take(1); err != nil {
			return answer{err: err}
		}
		s.nonces = true
		a = s.once(c)
	}
	return a
}

// take waits until n requests may be sent.
func (s *session) take(n int) error {
	if s.sent+n > s.options.MaxRequests {
		return errBudget
	}
	s.sent += n
	return s.limit.WaitN(s.ctx, n)
}

func (s *session) once(c *call) answer {
	lines, err := c.lines(s)
	if err != nil {
		return answer{err: err}
	}
	a := s.exchange(s.ctx, c, lines)
	s.note(a, c.token)
	return a
}

// note keeps what later checks look at.
func (s *session) note(a answer, token string) {
	if n := a.header.Get("DPoP-Nonce"); n != "" {
		s.nonce = n
	}
	if a.status < 300 {
		return
	}
	leaked := false
	for _, secret := range []string{s.options.Token, token, s.proof} {
		leaked = leaked || len(secret) > 15 && a.says(secret)
	}
	if len(s.refusals) >= s.options.MaxRequests {
		return
	}
	r := refusal{answer: a, leaked: leaked, trace: traceIn(a.body)}
	r.body, r.header = nil, http.Header{} // as many as requests: what nobody asks for would fill the memory
	for _, name := range []string{"Www-Authenticate", "Dpop-Nonce"} {
		if values := a.header.Values(name); len(values) > 0 {
			r.header[name] = values
		}
	}
	s.refusals = append(s.refusals, r)
}

// says tells whether a text stands in an answer.
func (a answer) says(text string) bool {
	if bytes.Contains(a.body, []byte(text)) {
		return true
	}
	for _, values := range a.header {
		for _, v := range values {
			if strings.Contains(v, text) {
				return true
			}
		}
	}
	return false
}

// accepted tells an answer like that to the owner.
func (s *session) accepted(a answer) bool {
	return a.err == nil && a.status >= 200 && a.status < 300 && (!a.complains() || s.control.complains())
}

// complains tells a body that says that something is wrong, whatever the status says.
func (a answer) complains() bool {
	kind, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	if kind == "application/problem+json" {
		return true
	}
	var o map[string]any
	if json.Unmarshal(a.body, &o) != nil {
		return false
	}
	for _, name := range []string{"error", "errors", "error_description"} {
		if v, ok := o[name]; ok && v != nil && v != false && v != "" {
			return true
		}
	}
	for _, name := range []string{"status", "code", "statusCode"} {
		if n, ok := o[name].(float64); ok && n >= 400 && n < 600 {
			return true
		}
	}
	return false
}

// theOwners tells an answer that has what the owner gets, where other resources may have answers of their own.
func (s *session) theOwners(a answer) bool {
	if !s.accepted(a) {
		return false
	}
	if s.stable {
		return bytes.Equal(a.body, s.control.body)
	}
	if a.header.Get("Content-Type") != s.control.header.Get("Content-Type") {
		return false
	}
	var one, other map[string]any
	if json.Unmarshal(a.body, &one) == nil && json.Unmarshal(s.control.body, &other) == nil {
		return slices.Equal(slices.Sorted(maps.Keys(one)), slices.Sorted(maps.Keys(other)))
	}
	d := len(a.body) - len(s.control.body)
	return max(d, -d)*10 <= len(s.control.body)
}

// outcome says in words what came.
func (a answer) outcome() string {
	switch {
	case a.err == nil:
		text := strconv.Itoa(a.status)
		if t := http.StatusText(a.status); t != "" {
			text += " " + t
		}
		return text
	case a.closed():
		return "a closed connection"
	case errors.Is(a.err, errBudget):
		return "nothing: the number of requests is used up"
	}
	return "nothing: " + a.err.Error()
}

// unknown says why an answer decides nothing; it is empty for one that does.
func (a answer) unknown() string {
	switch {
	case a.err != nil && !a.closed():
		return a.outcome()
	case a.status == http.StatusTooManyRequests, a.status == http.StatusBadGateway, a.status == http.StatusServiceUnavailable,
		a.status == http.StatusGatewayTimeout:
		return a.outcome() + ", which says nothing about the request"
	}
	return ""
}

// open resolves the API's name, and sees that the owner passes.
func (s *session) open() error {
	port := s.url.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[s.url.Scheme]
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return fmt.Errorf("port %s: %w", port, err)
	}
	s.port = uint16(n)
	if s.addresses = s.options.Addresses; len(s.addresses) == 0 {
		if s.addresses, err = net.DefaultResolver.LookupNetIP(s.ctx, "ip", s.url.Hostname()); err != nil {
			return err
		}
	}
	if s.url.Scheme == "http" && slices.ContainsFunc(s.addresses, func(a netip.Addr) bool { return !a.Unmap().IsLoopback() }) {
		return fmt.Errorf("%s is at %v: a token goes to https only, or to this machine", s.url.Hostname(), s.addresses)
	}
	s.addresses = s.reachable()
	if len(s.addresses) == 0 {
		return fmt.Errorf("%s: no address of %s takes a connection", s.url.Host, s.url.Hostname())
	}
	first := s.send(s.owner())
	if err := s.refusedOwner(first); err != nil {
		return err
	}
	second := s.send(s.owner())
	if err := s.refusedOwner(second); err != nil {
		return fmt.Errorf("the second time: %w", err)
	}
	s.control, s.stable = first, bytes.Equal(first.body, second.body)
	if s.url.Scheme == "https" {
		c := s.owner()
		c.link.http2 = true
		a := s.send(c)
		s.http2 = s.accepted(a)
	}
	s.noneConnects, s.otherConnects = s.connects(nil), s.other != nil && s.connects(s.other)
	return nil
}

// connects sends no token.
func (s *session) connects(certificate *tls.Certificate) bool {
	c := s.stolen()
	c.without()
	c.link.certificate = certificate
	return s.send(c).err == nil
}

// reachable are the addresses that take a connection.
func (s *session) reachable() []netip.Addr {
	return slices.DeleteFunc(slices.Clone(s.addresses), func(a netip.Addr) bool {
		ctx, cancel := context.WithTimeout(s.ctx, min(s.options.Timeout, 3*time.Second))
		defer cancel()
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", netip.AddrPortFrom(a, s.port).String())
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
}

// refusedOwner is the error of a probe that can't begin: where the owner is refused, it says nothing that a thief is.
func (s *session) refusedOwner(a answer) error {
	if a.err == nil && a.status >= 200 && a.status < 300 {
		return nil
	}
	if a.err != nil {
		return fmt.Errorf("the owner's own request came to %s", s.discreet(a.outcome()))
	}
	said := ""
	if lines := a.header.Values("WWW-Authenticate"); len(lines) > 0 {
		said = ": " + s.discreet(strings.Join(lines, ", "))
	}
	return fmt.Errorf("the owner's own request was answered with %s%s", a.outcome(), said)
}

// signed is what may be a token or a proof, or a part of one.
var signed = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}(\.[A-Za-z0-9_-]*)*`)

// part is what may be a part of a secret: errors quote what they could not read from its middle on.
var part = regexp.MustCompile(`[A-Za-z0-9_-]{12,}`)

// secrets are what a report must not have. Header fields that the owner adds may be a gateway's key, and a query, too.
func (s *session) secrets() []string {
	all := append([]string{s.options.Token, s.proof, s.url.RawQuery}, slices.Collect(maps.Values(s.options.MustRefuse))...)
	for _, values := range s.options.Header {
		all = append(all, values...)
	}
	return slices.DeleteFunc(all, func(secret string) bool { return len(secret) < 8 && secret != s.options.Token })
}

// discreet is a text that an API may have written, without the owner's secrets, and not too long.
func (s *session) discreet(text string) string {
	secrets := s.secrets()
	for _, secret := range secrets {
		quoted := strconv.Quote(secret)
		text = strings.NewReplacer(secret, "…", quoted[1:len(quoted)-1], "…").Replace(text)
	}
	text = signed.ReplaceAllString(text, "…")
	text = part.ReplaceAllStringFunc(text, func(p string) string {
		if slices.ContainsFunc(secrets, func(secret string) bool { return strings.Contains(secret, p) }) {
			return "…"
		}
		return p
	})
	if len(text) > 400 {
		text = strings.ToValidUTF8(text[:400], "") + "…"
	}
	return text
}
