package discovery

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// StatusError is an answer that is none.
type StatusError struct {
	Status     int
	Location   string // of a redirect that was not followed
	retryAfter string
	date       string
}

func (e *StatusError) Error() string {
	if e.Location != "" {
		return fmt.Sprintf("status %d, to %.256q", e.Status, e.Location)
	}
	return fmt.Sprintf("status %d", e.Status)
}

// MaxPause is how long at most one answer can make a caller wait until the next call.
const MaxPause = 10 * time.Minute

// Pause is how long a server wants to be left alone (RFC 9110, section 10.2.3), as its 429 or 503 among the errors of err
// says; zero if nothing in err does.
func Pause(err error, now time.Time) time.Duration {
	switch e := err.(type) { //nolint:errorlint // the whole tree is looked at
	case *StatusError:
		return e.pause(now)
	case interface{ Unwrap() error }:
		return Pause(e.Unwrap(), now)
	case interface{ Unwrap() []error }:
		most := time.Duration(0)
		for _, err := range e.Unwrap() {
			most = max(most, Pause(err, now))
		}
		return most
	}
	return 0
}

func (e *StatusError) pause(now time.Time) time.Duration {
	if e.Status != http.StatusTooManyRequests && e.Status != http.StatusServiceUnavailable {
		return 0
	}
	after, _ := Seconds(e.retryAfter)
	if at, err := http.ParseTime(e.retryAfter); err == nil {
		if own, err := http.ParseTime(e.date); err == nil {
			now = own // the clock that the other date is of
		}
		after = at.Sub(now)
	}
	return min(max(after, 0), MaxPause)
}

// Seconds reads the delta-seconds of HTTP's headers (RFC 9110, section 10.2.3; RFC 9111, section 1.2.2).
func Seconds(s string) (time.Duration, bool) {
	if len(s) > maxKept { // strconv would copy it into its error
		return math.MaxInt32 * time.Second, strings.Trim(s, "0123456789") == ""
	}
	n, err := strconv.ParseUint(s, 10, 31)
	return time.Duration(n) * time.Second, err == nil || errors.Is(err, strconv.ErrRange) // n is the most there is
}

// Status returns the error for an answer of another status than what is wanted.
func Status(answer *http.Response) *StatusError {
	return &StatusError{Status: answer.StatusCode, Location: kept(answer.Header.Get("Location")),
		retryAfter: kept(answer.Header.Get("Retry-After")), date: kept(answer.Header.Get("Date"))}
}

const (
	maxKept = 256     // bytes of a header, in an error that may be remembered
	maxText = 2 << 10 // bytes of an error's text
)

// kept is the beginning of a header: it may have as many megabytes as the transport allows.
func kept(s string) string {
	if len(s) > maxKept {
		return strings.Clone(s[:maxKept]) // a part would hold on to the whole
	}
	return s
}

// Brief bounds an error's text. Those of net/http quote what a server has sent: a Location, or a whole line.
func Brief(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if len(text) <= maxText {
		return err
	}
	return briefError{err, strings.ToValidUTF8(strings.Clone(text[:maxText]), "") + "…"}
}

type briefError struct {
	error
	text string
}

func (e briefError) Error() string { return e.text }
func (e briefError) Unwrap() error { return e.error }

// Read gets a document of bounded size. Only 200 is an answer, and 304, then without a document, if the request has
// If-None-Match. The client's CheckRedirect should be the one of this package.
func Read(client *http.Client, r *http.Request) ([]byte, *http.Response, error) {
	r.Header.Set("Accept", "application/json, application/jwk-set+json")
	r.Header.Set("Cache-Control", "no-cache") // a cache on the way would hide a rotation
	answer, err := client.Do(r)
	if err != nil {
		return nil, nil, Brief(advised(err))
	}
	defer func() { _ = answer.Body.Close() }() // nothing of it is needed any more
	if answer.StatusCode == http.StatusNotModified && r.Header.Get("If-None-Match") != "" {
		return nil, answer, nil
	}
	if answer.StatusCode != http.StatusOK {
		return nil, nil, Status(answer)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, MaxDocument+1))
	if err != nil {
		return nil, nil, err
	}
	if len(body) > MaxDocument {
		return nil, nil, fmt.Errorf("more than %d bytes", MaxDocument)
	}
	return body, answer, nil
}

// advised adds which setting admits a certificate that the system's authorities have not issued.
func advised(err error) error {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return fmt.Errorf("%w: if the server's authority is a private one, give it by RootCAs", err)
	}
	return err
}

// Unreadable is the error for a document that can't be read. It says what came: a page for people, perhaps, behind a
// redirect to a login.
func Unreadable(err error, answer *http.Response) error {
	if answer == nil {
		return err
	}
	what := fmt.Sprintf("%.64q", answer.Header.Get("Content-Type"))
	if r := answer.Request; r != nil && r.Response != nil { // the redirect that led here
		what += fmt.Sprintf(", after a redirect to %.256s", r.URL)
	}
	return fmt.Errorf("%w (Content-Type %s)", err, what)
}
