package popclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/seed-171ab058/popauth/internal/discovery"
)

const (
	askEvery = 10 * time.Second // for the certificate

	// overdue is from when an answer is waited for, where no request came that it could have been asked for beside.
	overdue = 2 * askEvery

	// maxExpired is how long at most a request waits that can only go on with an expired certificate, while the function
	// that would have another fails.
	maxExpired = time.Second
)

// reliance is how much the certificate, as it was answered last, can be relied on.
type reliance int

const (
	fresh   reliance = iota // it was answered a moment ago
	aged                    // longer ago, or it has expired: its answer is waited for
	failing                 // no longer answered: nobody knows when that ends, and nobody waits for it
	ended                   // no longer answered, and expired: it is waited for a little
)

// asking is one call of the function Certificate.
type asking struct {
	done chan struct{} // closed when there is an answer, or nobody waits for it any more
	late bool          // nobody does; guarded by the MutualTLS's mu
}

// renewCertificate asks for the certificate if it is time to, beside the requests: the last one serves meanwhile. It
// returns what is closed when the certificate has been asked for, nil if there is nothing to wait for, and how far the last
// one can be relied on.
func (m *MutualTLS) renewCertificate() (done <-chan struct{}, last reliance) {
	m.mu.Lock()
	defer m.mu.Unlock()
	since := age(m.asked)
	if m.asking == nil && since >= askEvery {
		m.asking = &asking{done: make(chan struct{})}
		go m.ask(m.asking)
	}
	if m.asking == nil || m.asking.late {
		return nil, fresh
	}
	switch over := m.current.over(); {
	case m.unanswered && over:
		last = ended
	case m.unanswered:
		last = failing
	case since >= overdue || over:
		last = aged
	}
	return m.asking.done, last
}

// awaitCertificate waits for an answer of the function Certificate where there is reason to. Half of the request's time is
// left for the request itself, which may well be answered with the last certificate.
func (m *MutualTLS) awaitCertificate(ctx context.Context) error {
	asking, last := m.renewCertificate()
	if asking == nil || last == failing {
		return nil
	}
	if last == fresh {
		current, previous := m.generations()
		if current.usable() || current.resting() || previous != nil && previous.usable() {
			return nil
		}
	}
	share, cancel := discovery.Share(ctx, false)
	defer cancel()
	if last == ended {
		var cancel context.CancelFunc
		share, cancel = context.WithTimeout(share, maxExpired)
		defer cancel()
	}
	select {
	case <-asking:
	case <-share.Done():
	}
	return context.Cause(ctx) // nil if it goes on
}

// ask calls the function, which is not called again before it has returned: one that hangs holds one goroutine.
func (m *MutualTLS) ask(a *asking) {
	ctx, cancel := context.WithTimeout(context.Background(), m.options.Timeout)
	defer cancel()
	late := time.AfterFunc(m.options.Timeout, func() { m.tooLate(a) })
	var c *tls.Certificate
	err := errors.New("popclient: Certificate did not return")
	defer func() {
		late.Stop()
		m.answered(a, c, err)
	}()
	if c, err = m.readCertificate(ctx); err != nil && ctx.Err() != nil {
		err = m.errTooLate() // whatever the function makes of that
	}
}

func (m *MutualTLS) errTooLate() error {
	return fmt.Errorf("popclient: Certificate has not returned within %v", m.options.Timeout)
}

// tooLate sends those who wait on with the last certificate.
func (m *MutualTLS) tooLate(a *asking) {
	m.mu.Lock()
	if m.asking != a || a.late {
		m.mu.Unlock()
		return
	}
	a.late, m.asked = true, time.Now()
	known := m.fail(m.errTooLate())
	m.mu.Unlock()
	close(a.done)
	m.keeps(m.errTooLate(), known)
}

// answered takes what the function has returned, however late.
func (m *MutualTLS) answered(a *asking, c *tls.Certificate, err error) {
	m.mu.Lock()
	late := a.late
	m.asking, m.unanswered = nil, err != nil
	if !late {
		m.asked = time.Now()
	}
	var old *generation
	another := false
	if err == nil {
		old, another, err = m.turn(c)
	}
	known := m.fail(err)
	m.mu.Unlock()
	if !late {
		close(a.done)
	}
	if old != nil {
		old.transport.CloseIdleConnections()
	}
	if another {
		m.journal.add(slog.LevelInfo, "new client certificate", slog.String("serial", c.Leaf.SerialNumber.Text(16)),
			slog.Time("expires", c.Leaf.NotAfter))
	}
	if err != nil {
		m.keeps(err, known)
	}
}

// fail notes why the certificate is still the last one, nil if it isn't, and tells whether that was known. The caller
// holds mu.
func (m *MutualTLS) fail(err error) (known bool) {
	before := m.failure
	if m.failure = ""; err != nil {
		m.failure = err.Error()
	}
	return m.failure == before
}

func (m *MutualTLS) keeps(err error, known bool) {
	if !known {
		m.journal.add(slog.LevelWarn, "client certificate not read, the last one stays in use", slog.String("error", err.Error()))
	}
}

// turn begins a generation, if the certificate is another one, and returns the one that has no more use, if any. The caller
// holds mu.
func (m *MutualTLS) turn(c *tls.Certificate) (old *generation, another bool, err error) {
	if slices.EqualFunc(c.Certificate, m.current.certificate.Certificate, slices.Equal) {
		m.current.key.renew(c)
		return nil, false, nil
	}
	if from := c.Leaf.NotBefore; time.Now().Before(from) && !m.current.over() {
		return nil, false, fmt.Errorf("popclient: the new certificate is valid from %s on, and is taken then",
			from.UTC().Format(time.RFC3339))
	}
	if end := c.Leaf.NotAfter; time.Now().After(end) && !m.current.over() {
		return nil, false, fmt.Errorf("popclient: the new certificate has been over since %s, and the last one is still valid: a "+
			"current one is needed",
			end.UTC().Format(time.RFC3339))
	}
	old = m.current
	m.current = m.newGeneration(c)
	if old.usable() {
		m.previous, old = old, m.previous
	}
	if old != nil {
		m.retired.add(old.transport)
	}
	return old, true, nil
}

// readCertificate holds what the function returns to what a handshake needs: it would fail there, for every request.
func (m *MutualTLS) readCertificate(ctx context.Context) (c *tls.Certificate, err error) {
	defer func() {
		if p := recover(); p != nil { // a request is the wrong one to end by it
			c, err = nil, fmt.Errorf("popclient: Certificate panicked: %v", p)
		}
	}()
	if c, err = m.options.Certificate(ctx); err != nil {
		return nil, err
	}
	return checkCertificate(c)
}

// firstCertificate is readCertificate for a client that has none yet to go on with.
func (m *MutualTLS) firstCertificate() (*tls.Certificate, error) {
	ctx, cancel := context.WithTimeout(context.Background(), m.options.Timeout)
	defer cancel()
	type result struct {
		certificate *tls.Certificate
		err         error
	}
	done := make(chan result, 1)
	go func() {
		made := result{err: errors.New("popclient: Certificate did not return")}
		defer func() { done <- made }()
		made.certificate, made.err = m.readCertificate(ctx)
	}()
	late := time.NewTimer(m.options.Timeout)
	defer late.Stop()
	select {
	case made := <-done:
		return made.certificate, made.err
	case <-late.C:
		return nil, m.errTooLate()
	}
}
