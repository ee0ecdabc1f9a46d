package probe

import (
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

func metadataChecks() []Check {
	return []Check{
		{Name: "metadata-form", Section: "RFC 9728, section 3.2", Severity: Low, Title: "the metadata of the API",
			Want: "200, application/json, an object with resource", run: metadataForm},
		{Name: "metadata-resource", Section: "RFC 9728, section 3.3", Severity: Medium, Title: "the resource that the metadata is about",
			Want: "the one whose URL the metadata was found by", run: metadataResource},
		{Name: "metadata-algorithms", Section: "RFC 9728, section 2", Severity: Low,
			Title: "dpop_signing_alg_values_supported of the metadata",
			Want:  "neither none nor an HMAC", run: metadataAlgorithms},
		{Name: "metadata-methods", Section: "RFC 9728, section 2", Severity: Low, Title: "bearer_methods_supported of the metadata",
			Want: "header alone", run: metadataMethods},
		{Name: "metadata-challenge", Section: "RFC 9728, section 5.1", Severity: Low, Title: "resource_metadata of the challenge",
			Want: "an https URL where the metadata is", run: metadataChallenge},
		{Name: "cors-any-origin", Section: "Fetch standard, CORS protocol and credentials", Severity: Medium,
			Title: "Access-Control-Allow-Credentials for a page of anybody's, and for one without an origin",
			Want:  "not both that and the page's origin: a browser would send its certificate", run: anyOrigin},
		{Name: "cors-nonce", Section: "RFC 9449, section 8", Severity: Low, needs: needsKey,
			Title: "DPoP-Nonce in Access-Control-Expose-Headers, where the API sends nonces to pages", Want: "it is there",
			run: exposesNonce},
		{Name: "cors-challenge", Section: "RFC 9449, section 7.1", Severity: Info,
			Title: "WWW-Authenticate in Access-Control-Expose-Headers, where the API takes calls of pages", Want: "it is there",
			run: exposesChallenge},
	}
}

const wellKnown = "/.well-known/oauth-protected-resource"

// document is metadata, and the resource by whose URL it was found.
type document struct {
	members  map[string]any
	resource string
	answer   answer
}

// metadata reads what is found by the resource's path, by the root's, or by a challenge. No credentials are sent.
func (s *session) metadata() *document {
	path := s.url.EscapedPath()
	places := map[string]string{wellKnown + path: s.resource(path), wellKnown: s.resource("")}
	order := []string{wellKnown + path, wellKnown}
	if path == "/" {
		order = order[1:]
	}
	if u := s.announced(); u != nil && strings.HasPrefix(u.EscapedPath(), wellKnown) && u.Scheme == s.url.Scheme && u.Host == s.url.Host {
		order = slices.Insert(order, 0, u.EscapedPath())
		places[order[0]] = s.resource(strings.TrimPrefix(order[0], wellKnown))
	}
	for _, place := range order {
		a := s.fetched(place)
		if a.err != nil || a.status != http.StatusOK {
			continue
		}
		d := &document{resource: places[place], answer: a}
		if json.Unmarshal(a.body, &d.members) != nil || d.members == nil || d.members["resource"] == nil && !s.announcedAt(place) {
			continue // a page that the API has for every path
		}
		return d
	}
	return nil
}

// fetched is what the API has at a path for everybody.
func (s *session) fetched(path string) answer {
	return s.answerTo(path, func(c *call) {
		c.without()
		c.target, c.proof, c.link.certificate = path, nil, nil
	})
}

// announced is what a challenge names.
func (s *session) announced() *url.URL {
	list, err := parseChallenges(s.noToken().header)
	if err != nil {
		return nil
	}
	for _, c := range list {
		if u, err := url.Parse(c.params["resource_metadata"]); err == nil && c.params["resource_metadata"] != "" {
			return u
		}
	}
	return nil
}

func (s *session) announcedAt(place string) bool {
	u := s.announced()
	return u != nil && u.EscapedPath() == place
}

// documented is a check of the metadata.
func documented(judge func(*session, *document) verdict) func(*session) verdict {
	return func(s *session) verdict {
		d := s.metadata()
		if d == nil {
			return skipped("the API publishes no metadata")
		}
		return judge(s, d)
	}
}

func metadataForm(s *session) verdict {
	return documented(func(s *session, d *document) verdict {
		if kind, _, err := mime.ParseMediaType(d.answer.header.Get("Content-Type")); err != nil || kind != "application/json" {
			return found("it is of type %q", d.answer.header.Get("Content-Type"))
		}
		if text, ok := d.members["resource"].(string); !ok || text == "" {
			return found("it has no resource")
		}
		return passed()
	})(s)
}

func metadataResource(s *session) verdict {
	return documented(func(s *session, d *document) verdict {
		text, _ := d.members["resource"].(string)
		if strings.TrimSuffix(text, "/") != strings.TrimSuffix(d.resource, "/") {
			return found("it is about %q, and was found by %s", text, d.resource)
		}
		return passed()
	})(s)
}

func texts(v any) []string {
	list, _ := v.([]any)
	var all []string
	for _, v := range list {
		if text, ok := v.(string); ok {
			all = append(all, text)
		}
	}
	return all
}

func metadataAlgorithms(s *session) verdict {
	return documented(func(s *session, d *document) verdict {
		if bad := weak(texts(d.members["dpop_signing_alg_values_supported"])); bad != "" {
			return found("it has %s", bad)
		}
		return passed()
	})(s)
}

func metadataMethods(s *session) verdict {
	return documented(func(_ *session, d *document) verdict {
		for _, m := range texts(d.members["bearer_methods_supported"]) {
			if m == "query" || m == "body" {
				return found("it has %s", m)
			}
		}
		return passed()
	})(s)
}

func metadataChallenge(s *session) verdict {
	u := s.announced()
	switch {
	case u == nil:
		return skipped("no challenge has resource_metadata")
	case u.Scheme != "https" && s.url.Scheme == "https":
		return found("it is no https URL")
	case u.Scheme != s.url.Scheme || u.Host != s.url.Host:
		return skipped("it is at %s, to which nothing was sent", u.Host)
	}
	a := s.fetched(u.EscapedPath())
	var members map[string]any
	if a.err != nil || a.status != http.StatusOK || json.Unmarshal(a.body, &members) != nil || members == nil {
		return found("it names a place that is answered with %s, and no metadata", a.outcome())
	}
	return passed()
}

// from is the owner's request, of a page.
func (s *session) from(origin string, change func(*call)) answer {
	return s.answerTo("from "+origin, func(c *call) {
		change(c)
		c.add("Origin", origin)
	})
}

func anyOrigin(s *session) verdict {
	for _, origin := range []string{"https://popauth-probe.example", "null"} {
		h := s.from(origin, func(*call) {}).header
		if h.Get("Access-Control-Allow-Origin") == origin && h.Get("Access-Control-Allow-Credentials") == "true" {
			return found("both, for Origin: %s", origin)
		}
	}
	return passed()
}

// exposed tells what scripts of the owner's page may read.
func (s *session) exposed(a answer, name string) (yes, taken bool) {
	allowed := a.header.Get("Access-Control-Allow-Origin")
	if allowed != "*" && allowed != s.options.Origin {
		return false, false
	}
	for _, part := range strings.Split(strings.Join(a.header.Values("Access-Control-Expose-Headers"), ","), ",") {
		part = strings.TrimSpace(part)
		if strings.EqualFold(part, name) || part == "*" && a.header.Get("Access-Control-Allow-Credentials") != "true" {
			return true, true
		}
	}
	return false, true
}

func exposesNonce(s *session) verdict {
	sent := false
	for _, a := range []answer{
		s.from(s.options.Origin, func(*call) {}),
		s.answerTo("a page without nonce", func(c *call) {
			c.proof.nonce = false
			c.proof.claims = map[string]any{"nonce": "x"}
			c.add("Origin", s.options.Origin)
		}),
	} {
		if a.header.Get("DPoP-Nonce") == "" {
			continue
		}
		yes, taken := s.exposed(a, "DPoP-Nonce")
		if sent = sent || taken; taken && !yes {
			return found("%s sends a nonce that a page can't read", a.outcome())
		}
	}
	if !sent {
		return skipped("the API sends no nonces to pages of %s", s.options.Origin)
	}
	return passed()
}

func exposesChallenge(s *session) verdict {
	a := s.answerTo("a page without a token", func(c *call) { c.without(); c.add("Origin", s.options.Origin) })
	yes, taken := s.exposed(a, "WWW-Authenticate")
	switch {
	case !taken:
		return skipped("the API takes no calls of pages of %s", s.options.Origin)
	case !yes && len(a.header.Values("WWW-Authenticate")) > 0:
		return found("%s has a challenge that a page can't read", a.outcome())
	}
	return passed()
}
