package revocation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// clientFrom copies the one given, or makes one whose connections leave nothing behind.
func clientFrom(o Options) *http.Client {
	own := http.Client{}
	if o.Client != nil {
		own = *o.Client
	} else {
		own.Transport = newDirect(o.InternalAddresses)
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
func (c *Checker) fetch(ctx context.Context, s subject, address string, request []byte, most int64) ([]byte, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, errors.New("an address that is no plain HTTP URL")
	}
	now := c.options.Now()
	who := party{u.Host, s.issuedBy}
	if err := c.hosts.busy(who, now); err != nil {
		return nil, err
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
		return nil, c.hosts.refused(who, answer, now)
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
