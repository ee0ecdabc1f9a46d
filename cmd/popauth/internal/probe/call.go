package probe

import (
	"crypto/tls"
	"net/http"
	"slices"
	"strings"
)

type field struct{ name, value string }

// link is how a request reaches the API.
type link struct {
	certificate *tls.Certificate
	http2       bool
	version     uint16                 // of TLS; 0: any that is good
	nameless    bool                   // the handshake names no server
	sessions    tls.ClientSessionCache // nil: no session is resumed
	address     int                    // which of the API's addresses
}

// call is one request: the owner's, until something is changed. Everything is sent as it stands, well-formed or not.
type call struct {
	method, target, host string // as the request line and Host have them
	proto                string
	scheme, token        string
	authorization        []string // values sent instead of scheme and token; empty: none
	replaced             bool     // authorization counts
	proof                *proof   // nil: none
	proofs               []string // further DPoP lines
	proofURL             string   // what the proof is for, unless it says otherwise
	fields               []field
	body                 string
	chunked              bool // the body is in chunks, and has fields behind it
	trailer              []field
	link                 link
}

// owner is the request that the API must answer.
func (s *session) owner() *call {
	c := &call{
		method: http.MethodGet, target: s.url.RequestURI(), host: s.url.Host, proto: "HTTP/1.1", scheme: "Bearer", token: s.options.Token,
		proofURL: s.resource(s.url.EscapedPath()), link: link{certificate: s.options.Certificate},
	}
	if s.options.Key != nil {
		c.scheme = "DPoP"
		c.proof = &proof{key: s.options.Key, nonce: true}
	}
	return c
}

// stolen is the request of one who has nothing but the token.
func (s *session) stolen() *call {
	c := s.owner()
	c.proof, c.link.certificate = nil, nil
	return c
}

// resource is the URL of a path of the API's, as htu has it.
func (s *session) resource(path string) string { return s.url.Scheme + "://" + s.url.Host + path }

func (c *call) without() { c.authorization, c.replaced = nil, true }

// instead sends these Authorization lines.
func (c *call) instead(lines ...string) { c.authorization, c.replaced = lines, true }

func (c *call) add(name, value string) { c.fields = append(c.fields, field{name, value}) }

// path sends a target that the URL's own query follows.
func (c *call) path(target string) {
	if _, query, ok := strings.Cut(c.target, "?"); ok {
		target += "?" + query
	}
	c.target = target
}

// lines are the header fields in their order, without Host.
func (c *call) lines(s *session) ([]field, error) {
	var all []field
	values := c.authorization
	if !c.replaced {
		values = []string{c.scheme + " " + c.token}
	}
	for _, v := range values {
		all = append(all, field{"Authorization", v})
	}
	if c.proof != nil {
		text, err := c.proof.write(c.method, c.proofURL, c.token, s.nonce)
		if err != nil {
			return nil, err
		}
		s.proof = text
		all = append(all, field{"DPoP", text})
	}
	for _, text := range c.proofs {
		all = append(all, field{"DPoP", text})
	}
	for name, values := range s.options.Header {
		for _, v := range values {
			all = append(all, field{name, v})
		}
	}
	has := func(name string) bool {
		return slices.ContainsFunc(c.fields, func(f field) bool { return strings.EqualFold(f.name, name) })
	}
	if !has("User-Agent") {
		all = append(all, field{"User-Agent", "popauth-probe"})
	}
	if !has("Accept") {
		all = append(all, field{"Accept", "*/*"})
	}
	return append(all, c.fields...), nil
}
