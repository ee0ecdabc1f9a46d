package revocation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// clientFrom copies given, or makes one whose connections leave nothing behind.
func clientFrom(given *http.Client) *http.Client {
	own := http.Client{}
	if given != nil {
		own = *given
	} else {
		own.Transport = &http.Transport{
			Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10,
		}
	}
	own.Jar = nil
	own.CheckRedirect = func(next *http.Request, before []*http.Request) error {
		if last := before[len(before)-1]; len(before) > 3 || next.URL.Host != last.URL.Host ||
			last.URL.Scheme == "https" && next.URL.Scheme != "https" {
			return errors.New("a redirect to elsewhere")
		}
		return nil
	}
	return &own
}

// fetch gets what is at the address, or what it answers to an OCSP request.
func (c *Checker) fetch(ctx context.Context, address string, request []byte, most int64) ([]byte, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, errors.New("an address that is no plain HTTP URL")
	}
	method, body := http.MethodGet, io.Reader(nil)
	if request != nil {
		method, body = http.MethodPost, bytes.NewReader(request)
	}
	r, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, err
	}
	if request != nil {
		r.Header.Set("Content-Type", "application/ocsp-request") // RFC 6960, appendix A.1
	}
	answer, err := c.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", answer.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(answer.Body, most+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(data)) > most:
		return nil, fmt.Errorf("more than %d bytes", most)
	}
	return data, nil
}

// dated is what an authority says for some time.
type dated interface {
	issued() time.Time
	expires() time.Time
}

// document is a dated thing that may be absent.
type document interface {
	comparable
	dated
}

// remote remembers what was fetched until it expires, and fetches it anew a while before: once for all that wait.
type remote[T document] struct {
	most    int
	timeout time.Duration
	now     func() time.Time

	mu      sync.Mutex
	entries map[string]*entry[T]
}

type entry[T document] struct {
	flight chan struct{} // closed when the fetch under way ends; nil: there is none
	value  T             // the zero value: there is none
	err    error         // what the last fetch failed with
	next   time.Time     // not before this is it fetched again
}

func newRemote[T document](most int, timeout time.Duration, now func() time.Time) *remote[T] {
	return &remote[T]{most: most, timeout: timeout, now: now, entries: map[string]*entry[T]{}}
}

// get waits no longer than ctx allows. The fetch goes on without: others wait for it, and the next request will ask.
func (m *remote[T]) get(ctx context.Context, key string, fetch func(context.Context) (T, error)) (T, error) {
	var none T
	m.mu.Lock()
	e := m.entry(key)
	now := m.now()
	if e.flight == nil && !now.Before(e.next) {
		e.flight = make(chan struct{})
		go m.fly(context.WithoutCancel(ctx), e, e.flight, fetch)
	}
	flight := e.flight
	if e.value != none && current(now, e.value) {
		defer m.mu.Unlock()
		return e.value, nil
	}
	m.mu.Unlock()
	if flight != nil {
		select {
		case <-flight:
		case <-ctx.Done():
			return none, ctx.Err()
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if e.value != none && current(m.now(), e.value) {
		return e.value, nil
	}
	if e.err == nil {
		return none, errors.New("out of date")
	}
	return none, e.err
}

func (m *remote[T]) fly(ctx context.Context, e *entry[T], flight chan struct{}, fetch func(context.Context) (T, error)) {
	ctx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	value, err := fetch(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	defer close(flight)
	var none T
	now := m.now()
	e.flight, e.err, e.next = nil, err, now.Add(pause)
	if err != nil {
		return
	}
	// Whoever sits in between can play back an older one, from before a certificate was revoked.
	if e.value == none || !value.issued().Before(e.value.issued()) {
		e.value = value
	}
	e.next = now.Add(maxFresh)
	if soon := e.value.expires(); soon.Before(e.next) {
		e.next = soon
	}
	if least := now.Add(pause); e.next.Before(least) {
		e.next = least
	}
}

// entry returns that of key. When there are too many, one that nobody waits for makes room, an expired one if there
// is any.
func (m *remote[T]) entry(key string) *entry[T] {
	if e, ok := m.entries[key]; ok {
		return e
	}
	if len(m.entries) >= m.most {
		var none T
		victim, found := "", false
		for k, e := range m.entries {
			if e.flight != nil {
				continue
			}
			victim, found = k, true
			if e.value == none || !current(m.now(), e.value) {
				break
			}
		}
		if found {
			delete(m.entries, victim)
		}
	}
	e := &entry[T]{}
	m.entries[key] = e
	return e
}
