package popclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/seed-171ab058/popauth/internal/discovery"
	"github.com/seed-171ab058/popauth/internal/strictjson"
)

const (
	maxMetadata = time.Hour // how long an issuer's metadata count

	// maxLastKnown is how long the endpoint that they named counts while the issuer can't be reached.
	maxLastKnown = 24 * time.Hour
)

// endpoint is where the issuer has its token endpoint.
type endpoint struct {
	mu    sync.Mutex
	url   string
	at    time.Time // when the metadata were read
	moved bool      // perhaps: it is to be looked up before the next use
}

// find asks the issuer's metadata, unless they are known. Those who come with two certificates at a time may ask twice.
func (e *endpoint) find(ctx context.Context, transport http.RoundTripper, issuer *url.URL, o MutualTLSOptions) (string, error) {
	if issuer == nil {
		return o.TokenURL, nil
	}
	e.mu.Lock()
	last, age, moved := e.url, age(e.at), e.moved
	e.mu.Unlock()
	if last != "" && age < maxMetadata && !moved {
		return last, nil
	}
	lastKnown := last != "" && age < maxLastKnown
	if lastKnown { // some of the time is for the endpoint itself
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.Timeout/3)
		defer cancel()
	}
	found, away, err := look(ctx, transport, issuer, o.Issuer)
	if err != nil {
		// Only because nobody answered: an answer without a token endpoint is one.
		if lastKnown && away {
			return last, nil
		}
		return "", err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.url, e.at, e.moved = found, time.Now(), false
	return found, nil
}

// look asks all places where the metadata may be. It tells whether nobody can be found there at the moment.
func look(ctx context.Context, transport http.RoundTripper, issuer *url.URL, name string) (found string, away bool, err error) {
	heard := &hearing{base: transport}
	client := &http.Client{Transport: heard, CheckRedirect: discovery.CheckRedirect(nil)}
	var failures []error
	misread := false
	for _, u := range discovery.Locations(issuer) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
		if err != nil {
			return "", false, err
		}
		heard.status = 0 // nobody has answered yet
		body, _, err := discovery.Read(client, r)
		if err == nil {
			if found, err = readEndpoint(body, name, issuer); err == nil {
				return found, false, nil
			}
			misread = true // somebody answers there
		}
		away = away || heard.status == 0 || heard.status >= 500 || heard.status == http.StatusTooManyRequests
		failures = append(failures, fmt.Errorf("popclient: %s: %w", u, err))
	}
	err = errors.Join(failures...)
	if heard.after > 0 {
		err = pausedError{err, heard.after}
	}
	return "", away && !misread, err
}

// hearing notes what a server has answered with.
type hearing struct {
	base   http.RoundTripper
	status int
	after  time.Duration
}

// RoundTrip implements http.RoundTripper.
func (h *hearing) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := h.base.RoundTrip(r)
	if err == nil {
		h.status, h.after = resp.StatusCode, max(h.after, retryAfter(resp, time.Now()))
	}
	return resp, err
}

// pausedError is of a server that wants to be left alone.
type pausedError struct {
	error
	after time.Duration
}

func (e pausedError) Unwrap() error { return e.error }

// forget has the endpoint looked up before it is used again.
func (e *endpoint) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.moved = true
}

// age is how long ago something was. While a machine sleeps, the monotonic clock stands still, and the calendar goes on.
func age(at time.Time) time.Duration {
	now := time.Now()
	return max(now.Sub(at), now.Round(0).Sub(at.Round(0)))
}

// readEndpoint returns the token endpoint of a metadata document that is the issuer's own (RFC 8414, section 3.3): the
// one for clients with a certificate, if there is one (RFC 8705, section 5).
func readEndpoint(body []byte, name string, issuer *url.URL) (string, error) {
	var said, plain, alias string
	err := strictjson.Members(body, []string{"issuer", "token_endpoint", "mtls_endpoint_aliases"}, func(name string, v jsontext.Value) (err error) {
		switch name {
		case "issuer":
			said, err = strictjson.String(v)
		case "token_endpoint":
			plain, err = readURL(name, v, issuer)
		case "mtls_endpoint_aliases":
			err = strictjson.Members(v, []string{"token_endpoint"}, func(member string, v jsontext.Value) (err error) {
				if member == "token_endpoint" {
					alias, err = readURL(name+"."+member, v, issuer)
				}
				return err
			})
		}
		return err
	})
	switch {
	case err != nil:
		return "", fmt.Errorf("metadata: %w", err)
	case said != name:
		return "", errors.New("metadata: of another issuer")
	case alias != "":
		return alias, nil
	case plain == "":
		return "", errors.New("metadata: no token_endpoint")
	}
	return plain, nil
}

func readURL(name string, v jsontext.Value, issuer *url.URL) (string, error) {
	s, err := strictjson.String(v)
	if err == nil {
		_, err = discovery.ParseMember(s, issuer, false)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}
