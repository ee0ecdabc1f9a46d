package popclient

import (
	"context"
	"encoding/base64"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// sent are the secrets of one token request: there are servers whose error repeats what they were sent, and errors end up
// in logs.
type sent struct{ forms []string }

type sentKey struct{}

// withSent returns a context in which note notes.
func withSent(ctx context.Context) (context.Context, *sent) {
	s := &sent{}
	return context.WithValue(ctx, sentKey{}, s), s
}

// note notes a secret, if anybody wants to know.
func note(ctx context.Context, clientID, secret string) {
	s, ok := ctx.Value(sentKey{}).(*sent)
	if !ok {
		return
	}
	for _, text := range []string{secret, url.QueryEscape(clientID) + ":" + url.QueryEscape(secret)} {
		s.forms = append(s.forms, text, base64.RawStdEncoding.EncodeToString([]byte(text)),
			base64.RawURLEncoding.EncodeToString([]byte(text)))
	}
}

const withheld = "withheld, since it repeats the client's secret"

// withhold returns an answer without what repeats a secret, percent-encoded or not.
func (s *sent) withhold(a answer) answer {
	for _, text := range []*string{&a.code, &a.description} {
		if s.in(*text) {
			*text = withheld
		}
	}
	return a
}

func (s *sent) in(text string) bool {
	once := unescaped(text)
	all := []string{text, once, unescaped(once), strings.ReplaceAll(once, "+", " "), unescaped(strings.ReplaceAll(text, "+", " "))}
	return slices.ContainsFunc(s.forms, func(form string) bool {
		return slices.ContainsFunc(all, func(text string) bool { return strings.Contains(text, form) })
	})
}

// unescaped decodes what is percent-encoded, and leaves the rest: a text may have both.
func unescaped(text string) string {
	return regexp.MustCompile(`%[0-9A-Fa-f]{2}`).ReplaceAllStringFunc(text, func(s string) string {
		plain, err := url.PathUnescape(s)
		if err != nil {
			return s
		}
		return plain
	})
}
