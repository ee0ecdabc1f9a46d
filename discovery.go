package popauth

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/seed-171ab058/popauth/internal/backoff"
	"github.com/seed-171ab058/popauth/internal/discovery"
)

const (
	minRefresh = time.Minute
	maxRefresh = 24 * time.Hour

	// maxETag bounds what is kept of one.
	maxETag = 1 << 10
)

// httpClient returns the client, and whether its transport is ours.
func (o RemoteKeysOptions) httpClient() (client *http.Client, own bool) {
	c := http.Client{}
	if o.Client != nil {
		c = *o.Client
	}
	if own = c.Transport == nil; own {
		t := discovery.Transport()
		t.DisableKeepAlives = true // one fetch an hour leaves no idle connection behind
		c.Transport = t
	}
	c.CheckRedirect = discovery.CheckRedirect(c.CheckRedirect)
	return &c, own
}

// fetch returns the issuer's keys. It asks its metadata first where they are, if that is wanted.
func (k *RemoteKeys) fetch(ctx context.Context, old *fetched, full bool) (*fetched, error) {
	now := k.options.Now() // the keys are at least this new
	set := &fetched{at: now, location: k.url, located: now}
	switch {
	case k.url != nil:
	case !full:
		set.location, set.located, set.inside = old.location, old.located, old.inside
	default:
		var err error
		if set.location, set.inside, err = k.discover(ctx, "jwks_uri", false); err != nil {
			return nil, err
		}
	}
	etag := ""
	if old != nil && *old.location == *set.location {
		etag = old.etag
	}
	body, answer, err := k.read(ctx, set.location, etag, &discovery.Reach{Inside: k.url != nil || set.inside})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", shown(set.location), err)
	}
	lifetime := min(k.lifetime(answer.Header, now), k.options.MaxAge/2)
	set.lifetime, set.limit = backoff.Jitter(lifetime), lifetime+lifetime/10
	if answer.StatusCode == http.StatusNotModified {
		set.keySet, set.document, set.etag = old.keySet, old.document, old.etag
		return set, nil
	}
	if set.etag = answer.Header.Get("ETag"); len(set.etag) > maxETag {
		set.etag = ""
	}
	set.document = sha256.Sum256(body)
	if old != nil && old.document == set.document {
		set.keySet = old.keySet // what is remembered of it still holds
		return set, nil
	}
	set.keySet, err = readKeySet(body)
	if isEmptySet(err) {
		return nil, fmt.Errorf("%s: %w: the issuer has withdrawn the keys that it had; have it publish those that it signs with", shown(set.location), err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", shown(set.location), discovery.Unreadable(err, answer))
	}
	return set, nil
}

// shown is a URL for the eyes of people: a key may be in its query.
func shown(u *url.URL) string {
	if u.RawQuery == "" {
		return u.String()
	}
	own := *u
	own.RawQuery = ""
	return own.String() + "?…"
}

// discover asks the issuer for its metadata, and takes the URL in one member, which may be inside of a network if the
// metadata is. Aliased, the one for callers with a certificate comes first (RFC 8705, section 5).
func (k *RemoteKeys) discover(ctx context.Context, member string, aliased bool) (location *url.URL, inside bool, err error) {
	var all failures
	for i, u := range k.metadata {
		reach := &discovery.Reach{Inside: true} // the configuration's own
		share, cancel := discovery.Share(ctx, i == len(k.metadata)-1)
		body, answer, err := k.read(share, u, "", reach)
		cancel()
		if err == nil {
			if location, err = k.readMetadata(body, member, aliased); err == nil {
				return location, reach.Went.Load(), nil
			}
			err = discovery.Unreadable(err, answer)
		}
		all = append(all, fmt.Errorf("%s: %w", shown(u), err))
		if ctx.Err() != nil || discovery.Pause(err, k.options.Now()) > 0 {
			break // who wants to be left alone is not asked elsewhere
		}
	}
	return nil, false, all
}

// failures are the errors of several tries, on one line.
type failures []error

func (f failures) Unwrap() []error { return f }
func (f failures) Error() string {
	texts := make([]string, len(f))
	for i, err := range f {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

// readMetadata returns the URL in a member of the issuer's metadata.
func (k *RemoteKeys) readMetadata(body []byte, member string, aliased bool) (*url.URL, error) {
	location, err := discovery.Member(body, k.options.Issuer, member, aliased)
	if err != nil {
		return nil, err
	}
	u, err := discovery.ParseMember(location, k.issuer, k.options.AllowLoopbackHTTP)
	if err != nil {
		return nil, fmt.Errorf("metadata: %s: %w", member, err)
	}
	return u, nil
}

// read gets a document, or a 304 without one if an ETag was sent.
func (k *RemoteKeys) read(ctx context.Context, u *url.URL, etag string, reach *discovery.Reach) ([]byte, *http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, nil, err
	}
	if k.guarded && !discovery.ToProxy(r) {
		r = r.WithContext(discovery.WithReach(ctx, reach))
	}
	if etag != "" {
		r.Header.Set("If-None-Match", etag)
	}
	return discovery.Read(k.client, r)
}

// lifetime is how long an answer may be used: what its headers say (RFC 9111, section 4.2), within bounds.
func (k *RemoteKeys) lifetime(h http.Header, now time.Time) time.Duration {
	said := time.Duration(-1)
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			return k.floor
		case "max-age":
			if s, ok := discovery.Seconds(strings.Trim(value, `"`)); ok && said < 0 {
				said = s
			}
		}
	}
	if expires := h.Get("Expires"); expires != "" && said < 0 {
		at, err := http.ParseTime(expires)
		if err != nil {
			return k.floor // a time in the past, 0 above all (RFC 9111, section 5.3)
		}
		if date, err := http.ParseTime(h.Get("Date")); err == nil {
			now = date // the issuer's clock against itself
		}
		said = max(at.Sub(now), 0)
	}
	if said < 0 {
		return k.options.Refresh
	}
	age, _ := discovery.Seconds(h.Get("Age")) // of a cache on the way
	return min(max(said-age, minRefresh), maxRefresh)
}
