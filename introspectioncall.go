package popauth

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	maxAnswer       = 64 << 10 // bytes of an introspection answer
	maxPause        = time.Minute
	rediscover      = time.Hour
	idleConnections = 16
)

// httpClient follows no redirect: where the token is sent is configured or the issuer's word.
func (o *IntrospectionOptions) httpClient() *http.Client {
	c := http.Client{}
	if o.Client != nil {
		c = *o.Client
	}
	if c.Transport == nil {
		c.Transport = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:      true,
			MaxIdleConnsPerHost:    idleConnections,
			IdleConnTimeout:        30 * time.Second, // none stays for good
			MaxResponseHeaderBytes: maxHeader,
		}
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// ask makes one call (RFC 7662, section 2). An error is the server's or this API's own fault, not the token's.
func (i *Introspection) ask(ctx context.Context, token string) (verdict, error) {
	if pause := i.pause(); pause > 0 {
		return verdict{}, unanswered(outage{errors.New("the introspection endpoint has asked for a pause"), pause})
	}
	endpoint, err := i.endpoint(ctx)
	if err != nil {
		return verdict{}, unanswered(fmt.Errorf("introspection endpoint: %w", err))
	}
	began := i.options.Now()
	answer, body, err := i.post(ctx, endpoint, token)
	if err != nil {
		return verdict{}, unanswered(outage{fmt.Errorf("%s: %w", shown(endpoint), err), i.failed(nil)})
	}
	switch answer.StatusCode {
	case http.StatusOK:
		v, err := i.read(ctx, token, body, began)
		if err != nil {
			return verdict{}, unanswered(fmt.Errorf("%s: %w", shown(endpoint), err))
		}
		return v, nil
	case http.StatusBadRequest:
		if isUnsupported(body) {
			return verdict{refusal: &Error{Reason: ErrTokenInvalid, Err: errors.New("unsupported_token_type")}}, nil
		}
	case http.StatusUnauthorized, http.StatusForbidden:
		return verdict{}, unanswered(fmt.Errorf("%s: status %d: the endpoint does not accept how this API authenticates", shown(endpoint), answer.StatusCode))
	}
	return verdict{}, unanswered(outage{fmt.Errorf("%s: status %d", shown(endpoint), answer.StatusCode), i.failed(answer)})
}

// shown is a URL for logs: some configurations have a key in the query.
func shown(u *url.URL) string {
	if u.RawQuery == "" {
		return u.String()
	}
	own := *u
	own.RawQuery = ""
	return own.String() + "?…"
}

func (i *Introspection) post(ctx context.Context, endpoint *url.URL, token string) (*http.Response, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint.String(), http.NoBody) //nolint:gosec // configured, or the issuer's word
	if err != nil {
		return nil, nil, err
	}
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
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
	answer, err := i.client.Do(r) //nolint:gosec // as above
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

// pause is how long the endpoint wants to be left alone yet.
func (i *Introspection) pause() time.Duration {
	i.mu.Lock()
	defer i.mu.Unlock()
	left := i.next.Sub(i.options.Now())
	if left > maxPause { // the clock was set back
		return 0
	}
	return left
}

// failed returns after what time to ask again, as the answer says (RFC 9110, section 10.2.3), and keeps to it. The
// endpoint may have moved. There may be no answer.
func (i *Introspection) failed(answer *http.Response) time.Duration {
	now, after := i.options.Now(), time.Duration(0)
	if answer != nil && (answer.StatusCode == http.StatusTooManyRequests || answer.StatusCode == http.StatusServiceUnavailable) {
		after = retryAfter(answer.Header, now)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if after > 0 {
		i.next = now.Add(after)
	}
	i.foundAt = time.Time{}
	return max(after, firstPause)
}

func retryAfter(h http.Header, now time.Time) time.Duration {
	said := h.Get("Retry-After")
	after, ok := seconds(said)
	if at, err := http.ParseTime(said); err == nil && !ok {
		after = at.Sub(now)
	}
	return min(max(after, 0), maxPause)
}

// endpoint returns where to ask: as configured, or as the issuer's metadata has said within the last hour.
func (i *Introspection) endpoint(ctx context.Context) (*url.URL, error) {
	known := func() (*url.URL, bool) {
		i.mu.Lock()
		defer i.mu.Unlock()
		age := since(i.foundAt, i.options.Now())
		return i.found, i.options.Endpoint != "" || age < rediscover && age > -maxLeeway
	}
	if u, ok := known(); ok {
		return u, nil
	}
	return i.discovery.do(ctx, struct{}{}, known, i.discover)
}

// discover asks the issuer. If it can't say, the endpoint is where it was, and it is asked again in a minute.
func (i *Introspection) discover(ctx context.Context) (*url.URL, error) {
	now := i.options.Now()
	_, aliased := i.options.Authentication.(TLSClientAuth)
	u, err := i.metadata.discover(ctx, "introspection_endpoint", aliased)
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case err == nil:
		i.found, i.foundAt = u, now
	case i.found == nil:
		return nil, err
	default:
		i.foundAt = now.Add(minRefresh - rediscover)
	}
	return i.found, nil
}
