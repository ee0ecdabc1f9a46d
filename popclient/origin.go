package popclient

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/seed-171ab058/popauth/internal/uri"
)

var (
	errPlain  = errors.New("popclient: http without TLS to a host that is not this one")
	errOrigin = errors.New("popclient: the token is not meant for this origin")
)

// originOf is scheme, host and port in normal form.
func originOf(u *url.URL) (string, error) {
	if u == nil {
		return "", errURL
	}
	scheme := strings.ToLower(u.Scheme)
	authority, err := uri.Authority(scheme, u.Host)
	if err != nil {
		return "", errURL
	}
	if scheme != "https" && !loopback(u.Hostname()) {
		return "", errPlain
	}
	return scheme + "://" + authority, nil
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && a.IsLoopback()
}

// readOrigins reads the Origins of what the name says; nil stays nil.
func readOrigins(of string, list []string) ([]string, error) {
	read := slices.Clone(list[:0])
	for i, s := range list {
		u, err := url.Parse(s)
		// A path would look as if it restricted something.
		if err != nil || strings.TrimSuffix(u.String(), "/") != u.Scheme+"://"+u.Host {
			return nil, fmt.Errorf("popclient: %s.Origins: entry %d is not scheme and host alone", of, i)
		}
		origin, err := originOf(u)
		if err != nil {
			return nil, fmt.Errorf("popclient: %s.Origins: entry %d: %w", of, i, err)
		}
		read = append(read, origin)
	}
	return read, nil
}

// admit tells which origin a request goes to, and whether it may carry credentials. What the caller asked for itself
// is refused if it may not; what a server has redirected to is sent without, as http.Client does with its own.
func admit(r *http.Request, meant []string) (origin string, trusted bool, err error) {
	origin, err = originOf(r.URL)
	if err == nil && meant != nil && !slices.Contains(meant, origin) {
		err = fmt.Errorf("%w: %.200s, and Origins are %s: add it there if the token is for it too", errOrigin, origin, shown(meant))
	}
	if r.Response == nil {
		return origin, err == nil, err
	}
	if err != nil {
		return "", false, nil
	}
	// All the way back to the request that the caller made: who was led away and back again has been told where to go
	// by a stranger.
	for p := r; p.Response != nil; {
		if p = p.Response.Request; p == nil {
			return "", false, nil
		}
		from, err := originOf(p.URL)
		if err != nil || from != origin && !slices.Contains(meant, from) {
			return "", false, nil
		}
	}
	return origin, true, nil
}
