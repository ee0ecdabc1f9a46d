package introspection

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/backoff"
	"github.com/seed-171ab058/popauth/internal/calls"
	"github.com/seed-171ab058/popauth/internal/discovery"
	"github.com/seed-171ab058/popauth/internal/memory"
	"github.com/seed-171ab058/popauth/internal/settings"
)

const (
	maxAnswer       = 64 << 10 // bytes of an introspection answer
	rediscover      = time.Hour
	sinceMetadata   = time.Minute // at least, before the metadata is asked again
	maxMissed       = 10 * time.Second
	idleConnections = 16
)

// httpClient follows no redirect: where the token is sent is configured or the issuer's word. It also returns whether
// the transport is ours.
func (o *Options) httpClient() (client *http.Client, own bool) {
	c := http.Client{}
	if o.Client != nil {
		c = *o.Client
	}
	if own = c.Transport == nil; own {
		t := discovery.Transport()
		t.ForceAttemptHTTP2 = true
		if o.RootCAs != nil {
			t.TLSClientConfig.RootCAs = o.RootCAs.Clone()
		}
		t.MaxIdleConnsPerHost = idleConnections
		t.IdleConnTimeout = 30 * time.Second // none stays for good
		c.Transport = t
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c, own
}

// ask makes one call (RFC 7662, section 2). An error is the server's or this API's own fault, not the token's.
func (i *Verifier) ask(ctx context.Context, token string) (verdict, error) {
	if left := i.quietLeft(); left > 0 {
		return verdict{}, backoff.After(errors.New("the introspection endpoint has asked for a pause"), left)
	}
	endpoint, err := i.endpoint(ctx)
	if err != nil {
		return verdict{}, fmt.Errorf("introspection endpoint: %w", err)
	}
	began := i.options.Now()
	answer, body, err := i.post(ctx, endpoint, token)
	if err != nil {
		return verdict{}, backoff.After(fmt.Errorf("%s: %w", discovery.Shown(endpoint), err), i.failed(err))
	}
	switch answer.StatusCode {
	case http.StatusOK:
		v, err := i.read(ctx, token, body, began)
		if err != nil {
			i.failed(err)
			return verdict{}, fmt.Errorf("%s: %w", discovery.Shown(endpoint), discovery.Unreadable(err, answer))
		}
		return v, nil
	case http.StatusBadRequest:
		if isUnsupported(body) {
			return verdict{refusal: &popauth.Error{Reason: popauth.ErrTokenInvalid, Err: errors.New("unsupported_token_type")}}, nil
		}
	case http.StatusUnauthorized, http.StatusForbidden:
		i.failed(discovery.Status(answer))
		return verdict{}, fmt.Errorf("%s: status %d: the endpoint does not accept how this API authenticates", discovery.Shown(endpoint),
			answer.StatusCode)
	}
	status := discovery.Status(answer)
	return verdict{}, backoff.After(fmt.Errorf("%s: %w", discovery.Shown(endpoint), status), i.failed(status))
}

func (i *Verifier) post(ctx context.Context, endpoint *url.URL, token string) (*http.Response, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint.String(), http.NoBody)
	if err != nil {
		return nil, nil, err
	}
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	if i.guarded && i.options.Endpoint == "" && !discovery.ToProxy(r) {
		r = r.WithContext(discovery.WithReach(ctx, &discovery.Reach{Inside: i.foundInside()}))
	}
	if err := i.options.Authentication.authenticate(r, form); err != nil {
		return nil, nil, err
	}
	encoded := form.Encode()
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(encoded)), nil }
	r.Body, _ = r.GetBody()
	r.ContentLength = int64(len(encoded))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	if i.signed != nil {
		r.Header.Set("Accept", "application/"+signedAnswerType) // RFC 9701, section 4
	}
	answer, err := i.client.Do(r)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // without the URL, whose query may be secret
		}
		return nil, nil, err
	}
	defer func() { _ = answer.Body.Close() }() // nothing of it is needed any more
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err != nil {
		return nil, nil, err
	}
	if len(body) > maxAnswer {
		return nil, nil, fmt.Errorf("more than %d bytes", maxAnswer)
	}
	return answer, body, nil
}

// quietLeft is how long the endpoint wants to be left alone yet.
func (i *Verifier) quietLeft() time.Duration {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.quiet.Left(i.options.Now())
}

func (i *Verifier) foundInside() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.inside
}

// failed is told of each call that brought no answer, or one that is none, whatever it is that stands at the endpoint by
// now. It returns after what time to ask again, as the answer in err says, and keeps to it. The endpoint may have moved: the
// metadata is asked again, once a minute at most.
func (i *Verifier) failed(err error) time.Duration {
	now := i.options.Now()
	after := discovery.Pause(err, now)
	i.mu.Lock()
	defer i.mu.Unlock()
	if after > 0 {
		i.quiet = backoff.Interval{From: now, Length: after}
	}
	i.doubted = true
	return max(after, backoff.First)
}

// endpoint returns where to ask: as configured, or as the issuer's metadata has said. Once an hour, and after a failure,
// the metadata is asked again, beside the calls. A call waits for that if there is no endpoint, or if nobody has asked when
// it was time: the token would be sent to a place that may have been given up since.
func (i *Verifier) endpoint(ctx context.Context) (*url.URL, error) {
	if i.options.Endpoint != "" {
		return i.found, nil
	}
	q := calls.Question[struct{}, *url.URL]{Ask: i.discover, Known: i.foundLately}
	i.mu.Lock()
	now := i.options.Now()
	found, missed, left := i.found, i.missed, i.sought.Left(now)
	age := backoff.Since(i.foundAt, now)
	doubted := i.doubted
	late := age >= rediscover+rediscover/10 && backoff.Since(i.sought.From, now) >= sinceMetadata
	i.mu.Unlock()
	switch {
	case left > 0 && found == nil:
		return nil, backoff.After(missed, left)
	case found == nil:
		return i.discovery.Do(ctx, q)
	case left > 0:
	case late:
		return i.foundAgain(ctx, q, found)
	case doubted || age >= rediscover || age < -settings.MaxLeeway:
		i.discovery.Begin(q)
	}
	return found, nil
}

// foundAgain waits for the metadata for half of the time that there is. Where the endpoint was is asked if they can't be had.
func (i *Verifier) foundAgain(ctx context.Context, q calls.Question[struct{}, *url.URL], found *url.URL) (*url.URL, error) {
	half, cancel := context.WithTimeout(ctx, min(i.options.Timeout, i.options.Wait)/2)
	defer cancel()
	u, err := i.discovery.Do(half, q)
	if err != nil {
		return found, nil //nolint:nilerr // it is asked where it was
	}
	return u, nil
}

// foundLately returns the endpoint if nobody has to look for it now.
func (i *Verifier) foundLately() (*url.URL, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.options.Now()
	age := backoff.Since(i.foundAt, now)
	return i.found, i.found != nil && (!i.doubted && age < rediscover && age > -settings.MaxLeeway || !i.sought.Over(now))
}

// Ready tells whether it is known where the endpoint is. It makes no request: see Load.
func (i *Verifier) Ready() bool {
	if i == nil || i.calls == nil {
		return false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.found != nil
}

// Load waits until it is known where the endpoint is, no longer than ctx. It doesn't ask the endpoint.
func (i *Verifier) Load(ctx context.Context) error {
	if i == nil || i.calls == nil {
		return popauth.ErrUnconfigured
	}
	_, err := i.endpoint(ctx)
	return err
}

// discover asks the issuer. If it can't say, the endpoint is where it was, and it is asked again in a minute. Without an
// endpoint the pauses are those of RemoteKeys: the first a second, then twice as long, up to maxMissed.
func (i *Verifier) discover(ctx context.Context) (*url.URL, error) {
	i.mu.Lock()
	missed, left := i.missed, i.sought.Left(i.options.Now())
	none := i.found == nil
	i.mu.Unlock()
	if none && left > 0 { // others have asked since
		return nil, backoff.After(missed, left)
	}
	_, aliased := i.options.Authentication.(TLSClientAuth)
	found, err := i.metadata.Find(ctx, i.issuer, "introspection_endpoint", aliased)
	now := i.options.Now()
	i.mu.Lock()
	defer i.mu.Unlock()
	again := sinceMetadata
	if i.found == nil && err != nil {
		again = backoff.Jitter(min(backoff.First<<min(i.misses, 16), maxMissed))
	}
	again = max(again, discovery.Pause(err, now))
	i.sought, i.missed = backoff.Interval{From: now, Length: again}, memory.Cut(err)
	switch {
	case err == nil:
		i.found, i.inside, i.foundAt, i.doubted, i.misses = found.URL, found.Inside, now, false, 0
	case i.found == nil:
		i.misses++
		return nil, backoff.After(err, again)
	}
	return i.found, nil
}
