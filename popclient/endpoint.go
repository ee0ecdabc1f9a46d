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

// maxMetadata is how long an issuer's metadata count.
const maxMetadata = time.Hour

// endpoint is where the issuer has its token endpoint.
type endpoint struct {
	mu  sync.Mutex
	url string
	at  time.Time
}

// find asks the issuer's metadata, unless they are known. Those who come with two certificates at a time may ask twice.
func (e *endpoint) find(ctx context.Context, transport http.RoundTripper, issuer *url.URL, o MutualTLSOptions) (string, error) {
	if issuer == nil {
		return o.TokenURL, nil
	}
	e.mu.Lock()
	found, at := e.url, e.at
	e.mu.Unlock()
	if found != "" && time.Since(at) < maxMetadata {
		return found, nil
	}
	client := &http.Client{Transport: transport, CheckRedirect: discovery.CheckRedirect(nil)}
	var failures []error
	for _, u := range discovery.Locations(issuer) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
		if err != nil {
			return "", err
		}
		body, _, err := discovery.Read(client, r)
		if err == nil {
			if found, err = readEndpoint(body, o.Issuer, issuer); err == nil {
				e.mu.Lock()
				defer e.mu.Unlock()
				e.url, e.at = found, time.Now()
				return found, nil
			}
		}
		failures = append(failures, fmt.Errorf("popclient: %s: %w", u, err))
	}
	return "", errors.Join(failures...)
}

func (e *endpoint) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.url = ""
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
