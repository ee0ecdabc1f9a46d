package discovery_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/internal/discovery"
)

func get(t testing.TB, target string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCheckRedirect(t *testing.T) {
	const start = "https://id.example.com/a"
	for next, want := range map[string]bool{
		"https://id.example.com/b":      true,
		"http://id.example.com/b":       false,
		"https://id.example.com:8443/b": false,
		"https://evil.example.com/b":    false,
	} {
		if err := discovery.CheckRedirect(nil)(get(t, next), []*http.Request{get(t, start)}); (err == nil) != want {
			t.Errorf("%s: got %v, want %v", next, err, want)
		}
	}
	// The first request is what says which origin it is.
	via := []*http.Request{get(t, start), get(t, "https://evil.example.com/")}
	if discovery.CheckRedirect(nil)(get(t, "https://evil.example.com/b"), via) == nil {
		t.Error("VULNERABLE: got no error behind a redirect to another origin")
	}
	for n := 1; n <= 5; n++ {
		via := make([]*http.Request, n)
		for i := range via {
			via[i] = get(t, start)
		}
		if err := discovery.CheckRedirect(nil)(get(t, start), via); (err == nil) != (n <= 3) {
			t.Errorf("redirect %d: got %v", n, err)
		}
	}
	no := errors.New("no")
	asked := 0
	own := discovery.CheckRedirect(func(*http.Request, []*http.Request) error { asked++; return no })
	if err := own(get(t, start), []*http.Request{get(t, start)}); !errors.Is(err, no) {
		t.Errorf("got %v, want that of the client's own function", err)
	}
	if err := own(get(t, "https://evil.example.com/"), []*http.Request{get(t, start)}); err == nil || asked != 1 {
		t.Errorf("got %v, asked %d times", err, asked)
	}
}

// endless is a body that counts how much of it is read, and whether it is closed.
type endless struct {
	size, read int
	err        error // at the end
	closed     bool
}

func (e *endless) Read(p []byte) (int, error) {
	n := min(len(p), e.size-e.read)
	for i := range p[:n] {
		p[i] = 'x'
	}
	e.read += n
	if n == 0 {
		return 0, e.err
	}
	return n, nil
}

func (e *endless) Close() error { e.closed = true; return nil }

type answering func(*http.Request) *http.Response

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	resp := a(r)
	resp.Request = r
	return resp, nil
}

func TestRead(t *testing.T) {
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		status int
		body   endless
		etag   string
		want   string // of the error; "" is none
	}{
		"document":     {200, endless{size: 10, err: io.EOF}, "", ""},
		"largest":      {200, endless{size: discovery.MaxDocument, err: io.EOF}, "", ""},
		"too large":    {200, endless{size: 100 * discovery.MaxDocument, err: io.EOF}, "", "more than 1048576 bytes"},
		"cut off":      {200, endless{size: 10, err: broken}, "", "broken"},
		"201":          {201, endless{size: 10, err: io.EOF}, "", "status 201"},
		"404":          {404, endless{size: 10, err: io.EOF}, "", "status 404"},
		"not modified": {304, endless{err: io.EOF}, `"x"`, ""},
		"304 unasked":  {304, endless{err: io.EOF}, "", "status 304"},
	} {
		client := &http.Client{Transport: answering(func(r *http.Request) *http.Response {
			if !strings.Contains(r.Header.Get("Accept"), "application/json") || r.Header.Get("Cache-Control") != "no-cache" {
				t.Errorf("%s: got header %v", name, r.Header)
			}
			return &http.Response{StatusCode: test.status, Header: http.Header{}, Body: &test.body}
		})}
		r := get(t, (&url.URL{Scheme: "https", Host: "id.example.com"}).String())
		if test.etag != "" {
			r.Header.Set("If-None-Match", test.etag)
		}
		body, resp, err := discovery.Read(client, r)
		switch {
		case (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want):
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		case (resp == nil) != (err != nil) || err != nil && body != nil || err == nil && len(body) != test.body.size:
			t.Errorf("%s: got %d bytes, %v, %v", name, len(body), resp, err)
		case test.body.read > discovery.MaxDocument+1 || !test.body.closed:
			t.Errorf("%s: %d bytes read, closed %v", name, test.body.read, test.body.closed)
		}
	}
}

// The error of a redirect that was not followed names where it leads, and that of another status no place.
func TestStatusErrorNamesTheLocation(t *testing.T) {
	for location, want := range map[string]string{"": "status 302", "/login": `status 302, to "/login"`} {
		answer := &http.Response{StatusCode: http.StatusFound, Header: http.Header{"Location": {location}}}
		if got := discovery.Status(answer).Error(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// What a server writes into a header may be megabytes, and ends in errors, which are logged and remembered.
func TestLongHeaders(t *testing.T) {
	long := strings.Repeat("x", 4<<20)
	for name, location := range map[string]string{"elsewhere": "https://evil.example.com/" + long, "here": "/" + long,
		"no URL": "%" + long} {
		client := &http.Client{CheckRedirect: discovery.CheckRedirect(nil), Transport: answering(func(*http.Request) *http.Response {
			return &http.Response{StatusCode: http.StatusFound, Header: http.Header{"Location": {location}}, Body: http.NoBody}
		})}
		if _, _, err := discovery.Read(client, get(t, "https://id.example.com/")); err == nil || len(err.Error()) > 4<<10 {
			t.Errorf("%s: got an error of %d bytes", name, len(err.Error()))
		}
	}
	for said, want := range map[string]time.Duration{
		"5": 5 * time.Second, strings.Repeat("9", 4<<20): discovery.MaxPause, "4294967296": discovery.MaxPause,
		"99999999999999999999": discovery.MaxPause,
		long:                   0, strings.Repeat("9", 4<<20) + "x": discovery.MaxPause, "-1": 0, "": 0,
	} {
		answer := &http.Response{StatusCode: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {said}, "Location": {long}}}
		status := discovery.Status(answer)
		if got := discovery.Pause(status, time.Now()); got != want || len(status.Location) > 1<<10 {
			t.Errorf("%.20q: got %v, want %v, and %d bytes kept", said, got, want, len(status.Location))
		}
	}
	if got, ok := discovery.Seconds(strings.Repeat("9", 4<<20)); !ok || got < 24*time.Hour {
		t.Errorf("got %v, %t, want the most there is", got, ok)
	}
	if got, ok := discovery.Seconds(long); ok {
		t.Errorf("got %v of what is no number", got)
	}
	short := errors.New("short")
	if discovery.Brief(nil) != nil || !errors.Is(discovery.Brief(short), short) || discovery.Brief(short).Error() != "short" {
		t.Error("an error that is short has changed")
	}
	if err := discovery.Brief(errors.Join(short, errors.New(long))); !errors.Is(err, short) || len(err.Error()) > 4<<10 {
		t.Errorf("got an error of %d bytes, which is the one inside: %t", len(err.Error()), errors.Is(err, short))
	}
}

// A Retry-After that is a date is of the clock that the answer's own Date is of.
func TestPauseByTheAnswersOwnDate(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	for name, test := range map[string]struct {
		after string
		date  []string
		want  time.Duration
	}{
		"the same clock":     {at(30 * time.Second), []string{at(0)}, 30 * time.Second},
		"the server's ahead": {at(15*time.Minute + 30*time.Second), []string{at(15 * time.Minute)}, 30 * time.Second},
		"the server's late":  {at(30*time.Second - time.Hour), []string{at(-time.Hour)}, 30 * time.Second},
		"over by its clock":  {at(time.Minute), []string{at(2 * time.Minute)}, 0},
		"no Date":            {at(30 * time.Second), nil, 30 * time.Second},
		"not a Date":         {at(30 * time.Second), []string{"today"}, 30 * time.Second},
		"seconds":            {"30", []string{at(time.Hour)}, 30 * time.Second},
		"no more than that":  {at(time.Hour), []string{at(-time.Hour)}, discovery.MaxPause},
	} {
		answer := &http.Response{StatusCode: http.StatusServiceUnavailable,
			Header: http.Header{"Retry-After": {test.after}, "Date": test.date}}
		if got := discovery.Pause(discovery.Status(answer), now); got != test.want {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}
