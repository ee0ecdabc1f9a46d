package popauth

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/seed-171ab058/popauth/internal/discovery"
	"github.com/seed-171ab058/popauth/internal/strictjson"
)

const (
	maxHeader  = 1 << 16
	minRefresh = time.Minute
	maxRefresh = 24 * time.Hour
)

func (o RemoteKeysOptions) httpClient() *http.Client {
	c := http.Client{}
	if o.Client != nil {
		c = *o.Client
	}
	if c.Transport == nil {
		c.Transport = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			DisableKeepAlives:      true, // one fetch an hour leaves no idle connection behind
			MaxResponseHeaderBytes: maxHeader,
		}
	}
	c.CheckRedirect = discovery.CheckRedirect(c.CheckRedirect)
	return &c
}

// fetch returns the issuer's keys. It asks its metadata first where they are, unless that is known: the issuer may
// have moved them if it was long ago, or if the last fetch failed.
func (k *RemoteKeys) fetch(ctx context.Context, old *fetched, failed bool) (*fetched, error) {
	now := k.options.Now() // the keys are at least this new
	set := &fetched{at: now, location: k.url, located: now}
	if k.issuer != nil {
		if old != nil && !failed && since(old.located, now) < k.options.MaxAge {
			set.location, set.located = old.location, old.located
		} else {
			var err error
			if set.location, err = k.discover(ctx, "jwks_uri", false); err != nil {
				return nil, err
			}
		}
	}
	etag := ""
	if old != nil && *old.location == *set.location {
		etag = old.etag
	}
	body, answer, err := k.read(ctx, set.location, etag)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", set.location, err)
	}
	set.lifetime = spread(min(k.lifetime(answer.Header, now), k.options.MaxAge/2))
	if answer.StatusCode == http.StatusNotModified {
		set.keySet, set.document, set.etag = old.keySet, old.document, old.etag
		return set, nil
	}
	set.etag, set.document = answer.Header.Get("ETag"), sha256.Sum256(body)
	if old != nil && old.document == set.document {
		set.keySet = old.keySet // what is remembered of it still holds
		return set, nil
	}
	if set.keySet, err = readKeySet(body); err != nil {
		return nil, fmt.Errorf("%s: %w", set.location, err)
	}
	return set, nil
}

// discover asks the issuer for its metadata, and takes the URL in one member. Aliased, the one for callers with a
// certificate comes first (RFC 8705, section 5).
func (k *RemoteKeys) discover(ctx context.Context, member string, aliased bool) (*url.URL, error) {
	var failures []error
	for _, u := range discovery.Locations(k.issuer) {
		body, _, err := k.read(ctx, u, "")
		if err == nil {
			var location *url.URL
			if location, err = k.readMetadata(body, member, aliased); err == nil {
				return location, nil
			}
		}
		failures = append(failures, fmt.Errorf("%s: %w", u, err))
	}
	return nil, errors.Join(failures...)
}

// readMetadata returns the URL in a member of a metadata document that is the issuer's own (RFC 8414, section 3.3).
func (k *RemoteKeys) readMetadata(body []byte, member string, aliased bool) (*url.URL, error) {
	const aliases = "mtls_endpoint_aliases"
	var issuer, location, alias string
	err := strictjson.Members(body, []string{"issuer", member, aliases}, func(name string, v jsontext.Value) (err error) {
		switch name {
		case "issuer":
			issuer, err = strictjson.String(v)
		case member:
			location, err = strictjson.String(v)
		case aliases:
			if aliased {
				alias, err = readMember(v, member)
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	if issuer != k.options.Issuer {
		return nil, errors.New("metadata: of another issuer")
	}
	if alias != "" {
		location = alias
	}
	u, err := discovery.ParseMember(location, k.issuer, k.options.AllowLoopbackHTTP)
	if err != nil {
		return nil, fmt.Errorf("metadata: %s: %w", member, err)
	}
	return u, nil
}

// readMember returns the string in one member of an object; "" if there is none.
func readMember(object []byte, member string) (string, error) {
	var value string
	err := strictjson.Members(object, []string{member}, func(name string, v jsontext.Value) (err error) {
		if name == member {
			value, err = strictjson.String(v)
		}
		return err
	})
	return value, err
}

// read gets a document, or a 304 without one if an ETag was sent.
func (k *RemoteKeys) read(ctx context.Context, u *url.URL, etag string) ([]byte, *http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil) //nolint:gosec // G704: the URL is the configuration's, or has been through discovery.ParseMember
	if err != nil {
		return nil, nil, err
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
			return minRefresh
		case "max-age":
			if s, ok := seconds(strings.Trim(value, `"`)); ok && said < 0 {
				said = s
			}
		}
	}
	if at, err := http.ParseTime(h.Get("Expires")); err == nil && said < 0 {
		if date, err := http.ParseTime(h.Get("Date")); err == nil {
			now = date // the issuer's clock against itself
		}
		said = max(at.Sub(now), 0)
	}
	if said < 0 {
		return k.options.Refresh
	}
	age, _ := seconds(h.Get("Age")) // of a cache on the way
	return min(max(said-age, minRefresh), maxRefresh)
}

func seconds(s string) (time.Duration, bool) {
	n, err := strconv.ParseUint(s, 10, 31)
	return time.Duration(n) * time.Second, err == nil || errors.Is(err, strconv.ErrRange) // n is the most there is
}
