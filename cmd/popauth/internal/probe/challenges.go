package probe

import (
	"net/http"
	"slices"
	"strings"
)

// challengeChecks look at what a refusal tells an honest client.
func challengeChecks() []Check {
	return []Check{
		{Name: "status-401", Section: "RFC 9110, section 15.5.2", Severity: Medium, Title: "the status of an answer to no token",
			Want: "401: nothing else says that credentials would help", run: status401},
		{Name: "status-disguised", Section: "RFC 9110, section 15.3.1", Severity: Medium, Title: "a refusal under a status of success",
			Want: "401: programs and caches go by the status", run: statusDisguised},
		{Name: "status-invalid-token", Section: "RFC 6750, section 3.1", Severity: Low,
			Title: "the status of an answer to a token that is none",
			Want:  "401, or 400 where it can't be read", run: statusInvalid},
		{Name: "challenge-missing", Section: "RFC 9110, section 15.5.2", Severity: Medium, Title: "WWW-Authenticate beside each 401",
			Want: "at least one challenge", run: challengeMissing},
		{Name: "challenge-syntax", Section: "RFC 9110, section 11.6.1", Severity: Low, Title: "the form of WWW-Authenticate",
			Want: "schemes with parameters, separated by commas, each name once", run: challengeSyntax},
		{Name: "challenge-scheme", Section: "RFC 6750, section 3", Severity: Low, Title: "the scheme that the challenge asks for",
			Want: "the one that the owner used", run: challengeScheme},
		{Name: "challenge-characters", Section: "RFC 6750, section 3", Severity: Low,
			Title: "the characters of error, error_description and scope",
			Want:  "printable ASCII without quotes and backslashes", run: challengeCharacters},
		{Name: "challenge-no-error", Section: "RFC 6750, section 3.1", Severity: Info, Title: "an error beside a challenge for no token",
			Want: "none: nothing was wrong with what was sent", run: challengeNoError},
		{Name: "challenge-error", Section: "RFC 6750, section 3.1", Severity: Low, Title: "the error for a token that is none",
			Want: "invalid_token, or invalid_request", run: challengeError},
		{Name: "challenge-error-status", Section: "RFC 6750, section 3.1", Severity: Low, Title: "errors and their statuses",
			Want: "invalid_request 400, invalid_token 401, insufficient_scope 403", run: errorStatus},
		{Name: "challenge-dpop-algs", Section: "RFC 9449, section 7.1", Severity: Low, needs: needsKey,
			Title: "algs in the challenge of DPoP", Want: "the algorithms that proofs may have, and neither none nor an HMAC",
			run: dpopAlgs},
		{Name: "challenge-dpop-error", Section: "RFC 9449, section 7.1", Severity: Low, needs: needsKey,
			Title: "the error for a proof that is none", Want: "invalid_dpop_proof, or invalid_token", run: dpopError},
		{Name: "challenge-nonce", Section: "RFC 9449, section 9", Severity: Low, needs: needsKey,
			Title: "a challenge that asks for a nonce", Want: "401, use_dpop_nonce, and the nonce in DPoP-Nonce", run: nonceChallenge},
		{Name: "challenge-step-up", Section: "RFC 9470, section 3", Severity: Low,
			Title: "challenges with insufficient_user_authentication", Want: "401, and acr_values or max_age", run: stepUp},
	}
}

func (s *session) noToken() answer { return s.answerTo("no token", func(c *call) { c.without() }) }

func (s *session) noSuchToken() answer {
	return s.answerTo("no such token", func(c *call) { c.token = "popauth-probe-token" })
}

func (s *session) noSuchProof() answer {
	return s.answerTo("no such proof", func(c *call) { c.proof, c.proofs = nil, []string{"popauth-probe"} })
}

// judged is a check of one answer that the API has to give.
func (s *session) judged(a answer, judge func(answer) verdict) verdict {
	switch why := a.unknown(); {
	case why != "":
		return unclear("%s", why)
	case a.err != nil:
		return skipped("the API closes the connection")
	case s.accepted(a):
		return skipped("it is not refused: other checks say so")
	}
	return judge(a)
}

func status401(s *session) verdict {
	return s.judged(s.noToken(), func(a answer) verdict {
		if a.status != http.StatusUnauthorized {
			return found("%s", a.outcome())
		}
		return passed()
	})
}

func statusDisguised(s *session) verdict {
	for _, a := range []answer{s.noToken(), s.noSuchToken()} {
		if a.err == nil && a.status < 300 && !s.accepted(a) {
			return found("%s, with a body that says that something is wrong", a.outcome())
		}
	}
	return passed()
}

func statusInvalid(s *session) verdict {
	return s.judged(s.noSuchToken(), func(a answer) verdict {
		if a.status != http.StatusUnauthorized && a.status != http.StatusBadRequest {
			return found("%s", a.outcome())
		}
		return passed()
	})
}

func challengeMissing(s *session) verdict {
	s.noToken()
	s.noSuchToken()
	seen := false
	for _, r := range s.refusals {
		if r.status != http.StatusUnauthorized {
			continue
		}
		if seen = true; len(r.header.Values("WWW-Authenticate")) == 0 {
			return found("a 401 has no WWW-Authenticate")
		}
	}
	if !seen {
		return skipped("the API has never answered 401")
	}
	return passed()
}

// challengesSeen are those of all refusals, for which judge says what is wrong.
func (s *session) challengesSeen(judge func(refusal, []challenge) string) verdict {
	s.noToken()
	s.noSuchToken()
	seen := false
	for _, r := range s.refusals {
		if len(r.header.Values("WWW-Authenticate")) == 0 {
			continue
		}
		seen = true
		list, err := parseChallenges(r.header)
		if err != nil {
			continue // challenge-syntax says so
		}
		if wrong := judge(r, list); wrong != "" {
			return found("%s", wrong)
		}
	}
	if !seen {
		return skipped("the API has sent no challenge")
	}
	return passed()
}

func challengeSyntax(s *session) verdict {
	s.noToken()
	seen := false
	for _, r := range s.refusals {
		if len(r.header.Values("WWW-Authenticate")) == 0 {
			continue
		}
		seen = true
		if _, err := parseChallenges(r.header); err != nil {
			return found("%s", err.Error())
		}
	}
	if !seen {
		return skipped("the API has sent no challenge")
	}
	return passed()
}

func challengeScheme(s *session) verdict {
	return s.judged(s.noToken(), func(a answer) verdict {
		list, err := parseChallenges(a.header)
		if err != nil || len(list) == 0 {
			return skipped("it has no challenge that can be read")
		}
		if scheme := s.owner().scheme; of(list, scheme) == nil {
			return found("no challenge has the scheme %s", scheme)
		}
		return passed()
	})
}

func challengeCharacters(s *session) verdict {
	return s.challengesSeen(func(_ refusal, list []challenge) string {
		for _, c := range list {
			if !strings.EqualFold(c.scheme, "Bearer") && !strings.EqualFold(c.scheme, "DPoP") {
				continue
			}
			for _, name := range []string{"error", "error_description", "scope"} {
				if strings.ContainsFunc(c.params[name], func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
					return name + " has a character that it may not have"
				}
			}
		}
		return ""
	})
}

func challengeNoError(s *session) verdict {
	return s.judged(s.answerTo("nothing", func(c *call) { c.without(); c.proof, c.link.certificate = nil, nil }), func(a answer) verdict {
		list, err := parseChallenges(a.header)
		if err != nil || len(list) == 0 {
			return skipped("it has no challenge that can be read")
		}
		for _, c := range list {
			if c.params["error"] != "" {
				return found("error=%q", c.params["error"])
			}
		}
		return passed()
	})
}

// errorIn is the check that a challenge has one of these errors.
func (s *session) errorIn(a answer, errs ...string) verdict {
	return s.judged(a, func(a answer) verdict {
		if a.status != http.StatusUnauthorized {
			return skipped("it is answered with %s", a.outcome())
		}
		list, err := parseChallenges(a.header)
		if err != nil || len(list) == 0 {
			return skipped("it has no challenge that can be read")
		}
		for _, c := range list {
			if slices.Contains(errs, c.params["error"]) {
				return passed()
			}
		}
		return found("no challenge has error=%s", strings.Join(errs, " or "))
	})
}

func challengeError(s *session) verdict {
	return s.errorIn(s.noSuchToken(), "invalid_token", "invalid_request")
}

var statusOf = map[string]int{
	"invalid_request": http.StatusBadRequest, "invalid_token": http.StatusUnauthorized, "insufficient_scope": http.StatusForbidden,
	"invalid_dpop_proof": http.StatusUnauthorized, "use_dpop_nonce": http.StatusUnauthorized,
}

func errorStatus(s *session) verdict {
	return s.challengesSeen(func(r refusal, list []challenge) string {
		for _, c := range list {
			if want, ok := statusOf[c.params["error"]]; ok && want != r.status {
				return c.params["error"] + " comes with " + r.outcome()
			}
		}
		return ""
	})
}

func dpopAlgs(s *session) verdict {
	return s.judged(s.noToken(), func(a answer) verdict {
		list, err := parseChallenges(a.header)
		c := of(list, "DPoP")
		if err != nil || c == nil {
			return skipped("it has no challenge of DPoP that can be read")
		}
		algs := strings.Fields(c.params["algs"])
		if len(algs) == 0 {
			return found("the challenge of DPoP has no algs")
		}
		if bad := weak(algs); bad != "" {
			return found("algs has %s", bad)
		}
		if !slices.Contains(algs, s.options.Key.alg) {
			return found("algs doesn't have %s, by which the owner passes", s.options.Key.alg)
		}
		return passed()
	})
}

// weak returns an algorithm that anybody, or whoever verifies, can sign with.
func weak(algs []string) string {
	for _, alg := range algs {
		if strings.EqualFold(alg, "none") || strings.HasPrefix(strings.ToUpper(alg), "HS") {
			return alg
		}
	}
	return ""
}

func dpopError(s *session) verdict {
	return s.errorIn(s.noSuchProof(), "invalid_dpop_proof", "invalid_token", "invalid_request", "use_dpop_nonce")
}

func nonceChallenge(s *session) verdict {
	seen := false
	v := s.challengesSeen(func(r refusal, list []challenge) string {
		c := of(list, "DPoP")
		if c == nil || c.params["error"] != "use_dpop_nonce" {
			return ""
		}
		if seen = true; r.status != http.StatusUnauthorized || r.header.Get("DPoP-Nonce") == "" {
			return "use_dpop_nonce without 401, or without DPoP-Nonce"
		}
		return ""
	})
	if v.state == Passed && !seen {
		return skipped("the API asks for no nonces")
	}
	return v
}

func stepUp(s *session) verdict {
	seen := false
	v := s.challengesSeen(func(r refusal, list []challenge) string {
		for _, c := range list {
			if c.params["error"] != "insufficient_user_authentication" {
				continue
			}
			if seen = true; r.status != http.StatusUnauthorized || c.params["acr_values"] == "" && c.params["max_age"] == "" {
				return "insufficient_user_authentication without 401, or without acr_values and max_age"
			}
		}
		return ""
	})
	if v.state == Passed && !seen {
		return skipped("the API has asked nobody to log in again: --must-refuse takes a token for which it would")
	}
	return v
}
