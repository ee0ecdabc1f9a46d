package discovery

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Client reads the metadata of issuers, and the documents that they name.
type Client struct {
	HTTP    *http.Client
	Guarded bool // the transport is this package's: it holds each connection to the Reach of its request
	now     func() time.Time
}

// NewClient makes its requests with base, but follows no redirect to another origin, whatever base says. Where base is nil, or
// has no Transport, it has one of this package's, which holds each connection to where the request may lead.
func NewClient(base *http.Client, now func() time.Time) *Client {
	own := http.Client{}
	if base != nil {
		own = *base
	}
	c := &Client{HTTP: &own, Guarded: own.Transport == nil, now: now}
	if c.Guarded {
		t := Transport()
		t.DisableKeepAlives = true // one fetch an hour leaves no idle connection behind
		own.Transport = t
	}
	own.CheckRedirect = CheckRedirect(own.CheckRedirect)
	return c
}

// Trust has servers verified by these authorities in place of the system's, if the transport is this package's; nil changes
// nothing.
func (c *Client) Trust(roots *x509.CertPool) {
	if t, ok := c.HTTP.Transport.(*http.Transport); ok && c.Guarded && roots != nil {
		t.TLSClientConfig.RootCAs = roots.Clone()
	}
}

// Location is a URL in an issuer's metadata.
type Location struct {
	URL    *url.URL
	Inside bool // the metadata came from inside of a network, so what they name may be there too

	Metadata []byte // that name it
}

// Find asks the issuer for its metadata, and takes the URL in one member; see Issuer.Location. The error is of type Failures.
func (c *Client) Find(ctx context.Context, issuer *Issuer, member string, aliased bool) (Location, error) {
	var all Failures
	for n, place := range issuer.places {
		reach := &Reach{Inside: true} // the configuration's own
		share, cancel := Share(ctx, n == len(issuer.places)-1)
		body, answer, err := c.Get(share, place, "", reach)
		cancel()
		f := Failure{Place: place, Answered: err == nil}
		if f.Answered {
			found, err := issuer.Location(body, member, aliased)
			if err == nil {
				return Location{URL: found, Inside: reach.Went.Load(), Metadata: body}, nil
			}
			f.Err = Unreadable(err, answer)
		} else {
			f.Err = err
		}
		all = append(all, f)
		if ctx.Err() != nil || Pause(f.Err, c.now()) > 0 {
			break // who wants to be left alone is not asked elsewhere
		}
	}
	return Location{}, all
}

// errUnheld is for a URL of AllowPrivateHTTP.
var errUnheld = errors.New("http through a proxy, or by a Transport of somebody else's: nothing tells whether the address is private")

// Get gets a document, or a 304 without one if an ETag was sent; see Read.
func (c *Client) Get(ctx context.Context, u *url.URL, etag string, reach *Reach) ([]byte, *http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, nil, err
	}
	held := c.Guarded && !ToProxy(r)
	if u.Scheme == "http" && !IsLoopback(u.Hostname()) {
		if !held {
			return nil, nil, errUnheld
		}
		reach.Only = true
	}
	if held {
		r = r.WithContext(WithReach(ctx, reach))
	}
	if etag != "" {
		r.Header.Set("If-None-Match", etag)
	}
	return Read(c.HTTP, r)
}

// Failure is why the metadata at one place were of no use.
type Failure struct {
	Place    *url.URL
	Answered bool // with a document, which Err is about
	Err      error
}

func (f Failure) Error() string { return Shown(f.Place) + ": " + f.text() }

// text doesn't name the place, as net/http's errors do.
func (f Failure) text() string {
	text := f.Err.Error()
	if of, ok := errors.AsType[*url.Error](f.Err); ok {
		text = strings.Replace(text, of.Error(), of.Err.Error(), 1)
	}
	return text
}

func (f Failure) Unwrap() error { return f.Err }

// Failures are those of all places that were asked, on one line.
type Failures []Failure

// Error says once what has failed in the same way at several places.
func (f Failures) Error() string {
	var texts []string
	for i := 0; i < len(f); {
		places, text := Shown(f[i].Place), f[i].text()
		for i++; i < len(f) && f[i].text() == text; i++ {
			places += ", " + Shown(f[i].Place)
		}
		texts = append(texts, places+": "+text)
	}
	return strings.Join(texts, "; ")
}

func (f Failures) Unwrap() []error {
	all := make([]error, len(f))
	for i := range f {
		all[i] = f[i]
	}
	return all
}

// Away tells whether the issuer's word can't be had at the moment: nobody answers, or with a refusal, a redirect elsewhere, or
// a page for people. What another issuer says of itself there, or this one without the member, is a word.
func (f Failures) Away() bool {
	for i := range f {
		if f[i].Answered && !errors.Is(f[i].Err, ErrNoMetadata) {
			return false
		}
	}
	return true
}

// Shown is a URL for the eyes of people: a key may be in its query.
func Shown(u *url.URL) string {
	if u.RawQuery == "" {
		return u.String()
	}
	own := *u
	own.RawQuery = ""
	return own.String() + "?…"
}
