package dpop

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/mismatch"
	"github.com/seed-171ab058/popauth/internal/uri"
)

var errOwnURI = errors.New("the request's own URI can't be told")

// untold says why a request's own URL can't be told, where its function does.
func untold(r *http.Request, f func(*http.Request) *url.URL) error {
	if why := uri.WhyUntold(r, f); why != nil {
		return fmt.Errorf("%w: %w", errOwnURI, why)
	}
	return errOwnURI
}

// RequestURL returns the URL of a request as its client sent it to this process, without query: scheme and port of
// the connection, the host that the request names, and the escaped path of the request line, which routers and
// http.StripPrefix leave alone. It returns nil if there is no such URL, as with a Host header that is more than a host
// and a port, or with a path that no RequestLine allows. It reads no forwarded header.
//
// The host is the sender's: a proof that a client made for https://other.example/orders passes where a sender writes
// Host: other.example. It is for an API where no other server gets proofs and tokens for this one, and where TLS ends in this
// process: for tests and several names. Elsewhere set BaseURL, or URL to a function that refuses the hosts that are none of
// the API's, by returning nil.
func RequestURL(r *http.Request) *url.URL {
	base, err := uri.BaseOf(r)
	if err != nil {
		return nil
	}
	return base.URL(r)
}

// sameTarget tells whether a proof that is good for the one request is good for the other.
func (d *Confirmer) sameTarget(a, b *http.Request) bool {
	u, v := d.options.URL(a), d.options.URL(b)
	return u != nil && v != nil && u.String() == v.String()
}

// target compares htu with own, query and fragment ignored, and returns their normal form.
func (p proof) target(own *url.URL) (string, error) {
	if own == nil {
		return "", &popauth.Error{Reason: popauth.ErrProofTarget, Err: errOwnURI}
	}
	want, err := uri.Join(own.Scheme, own.Host, own.EscapedPath())
	if err != nil {
		return "", &popauth.Error{Reason: popauth.ErrProofTarget, Err: errOwnURI}
	}
	got, err := uri.Normalize(p.uri)
	if err != nil {
		return "", &popauth.Error{Reason: popauth.ErrProofTarget, Err: &popauth.Mismatch{
			What: "htu", Got: shown(p.uri), Want: shown(want) + ", and this is no URI",
		}}
	}
	if got != want {
		return "", &popauth.Error{Reason: popauth.ErrProofTarget, Err: wrongTarget(got, want)}
	}
	return want, nil
}

// shown is a URI for the log: a client that writes its query or its password into htu has no more of them there than others.
func shown(of string) string { return mismatch.Text(uri.Shown(of)) }

// wrongTarget says in which part of the URI the proof's differs from the request's.
func wrongTarget(got, want string) error {
	m := &popauth.Mismatch{What: "htu", Got: shown(got), Want: shown(want) + ", the request's"}
	g, err := url.Parse(got)
	w, other := url.Parse(want)
	switch {
	case err != nil || other != nil:
	case g.Path == w.Path:
		m.Advice = "scheme or host differs: behind a proxy set dpop.Options.BaseURL to the address that clients use"
	case g.Scheme == w.Scheme && g.Host == w.Host:
		m.Advice = rewritten(g.EscapedPath(), w.EscapedPath())
	default:
		m.Advice = "a proof for another server's request, or a proxy that rewrites the path: see dpop.Options.BaseURL and URL"
	}
	return m
}

// rewritten says what a proxy does to a path, where the client's is the request's but for its beginning.
func rewritten(sent, own string) string {
	if before, ok := strings.CutSuffix(own, sent); ok {
		return fmt.Sprintf("dpop.Options.BaseURL puts %.64q before the path, or a proxy does, and the client doesn't", before)
	}
	if before, ok := strings.CutSuffix(sent, own); ok {
		return fmt.Sprintf("a proxy takes %.64q from the path: add it to dpop.Options.BaseURL", before)
	}
	return "the path differs: a proof for another request, or a proxy that rewrites the path, which dpop.Options.URL has to undo"
}
