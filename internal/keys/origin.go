package keys

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

// origin is where an issuer's keys come from.
type origin struct {
	client  *discovery.Client
	issuer  *discovery.Issuer // nil if url is given
	url     *url.URL          // nil if it is found by discovery
	floor   time.Duration     // how long keys serve at least, if the issuer wants no memory of them
	refresh time.Duration
	maxAge  time.Duration
	now     func() time.Time
}

// fetched is one state of the issuer's keys.
type fetched struct {
	*Set     // the same as long as the document is
	document [sha256.Size]byte
	at       time.Time     // when the issuer last said that these are its keys
	lifetime time.Duration // after it they are fetched beside the requests
	limit    time.Duration // after it requests wait for that, if none came in time
	etag     string
	location *url.URL // of the JWK Set
	inside   bool     // the metadata came from inside of a network
	located  time.Time
}

// fetch returns the issuer's keys. It asks its metadata first where they are, if that is wanted.
func (o *origin) fetch(ctx context.Context, old *fetched, full bool) (*fetched, error) {
	now := o.now() // the keys are at least this new
	set := &fetched{at: now, location: o.url, located: now}
	switch {
	case o.url != nil:
	case !full:
		set.location, set.located, set.inside = old.location, old.located, old.inside
	default:
		found, err := o.client.Find(ctx, o.issuer, "jwks_uri", false)
		if err != nil {
			return nil, err
		}
		set.location, set.inside = found.URL, found.Inside
	}
	etag := ""
	if old != nil && *old.location == *set.location {
		etag = old.etag
	}
	body, answer, err := o.client.Get(ctx, set.location, etag, &discovery.Reach{Inside: o.url != nil || set.inside})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", discovery.Shown(set.location), err)
	}
	lifetime := min(o.lifetime(answer.Header, now), o.maxAge/2)
	set.lifetime, set.limit = backoff.Jitter(lifetime), lifetime+lifetime/10
	if answer.StatusCode == http.StatusNotModified {
		set.Set, set.document, set.etag = old.Set, old.document, old.etag
		return set, nil
	}
	if set.etag = answer.Header.Get("ETag"); len(set.etag) > maxETag {
		set.etag = ""
	}
	set.document = sha256.Sum256(body)
	if old != nil && old.document == set.document {
		set.Set = old.Set // what is remembered of it still holds
		return set, nil
	}
	set.Set, err = Read(body)
	if IsEmptySet(err) {
		return nil, fmt.Errorf("%s: %w: the issuer has withdrawn the keys that it had; have it publish those that it signs with",
			discovery.Shown(set.location), err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", discovery.Shown(set.location), discovery.Unreadable(err, answer))
	}
	return set, nil
}

// lifetime is how long an answer may be used: what its headers say (RFC 9111, section 4.2), within bounds.
func (o *origin) lifetime(h http.Header, now time.Time) time.Duration {
	said := time.Duration(-1)
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			return o.floor
		case "max-age":
			if s, ok := discovery.Seconds(strings.Trim(value, `"`)); ok && said < 0 {
				said = s
			}
		}
	}
	if expires := h.Get("Expires"); expires != "" && said < 0 {
		at, err := http.ParseTime(expires)
		if err != nil {
			return o.floor // a time in the past, 0 above all (RFC 9111, section 5.3)
		}
		if date, err := http.ParseTime(h.Get("Date")); err == nil {
			now = date // the issuer's clock against itself
		}
		said = max(at.Sub(now), 0)
	}
	if said < 0 {
		return o.refresh
	}
	age, _ := discovery.Seconds(h.Get("Age")) // of a cache on the way
	return min(max(said-age, minRefresh), maxRefresh)
}
