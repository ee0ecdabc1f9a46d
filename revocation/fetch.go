package revocation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"unicode"
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

// fetch gets what is at the address, or what it answers to an OCSP request, into the memory of a reading.
func (c *Checker) fetch(ctx context.Context, into *reading, of origin, request []byte, most int) ([]byte, error) {
	u, err := url.Parse(of.address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, errors.New("an address that is no plain HTTP URL")
	}
	if strings.IndexFunc(u.Host, func(r rune) bool { return r > unicode.MaxASCII }) >= 0 {
		// A Client of one's own would map full-width digits to an address, after it has judged the name.
		return nil, fmt.Errorf("host %.128q is not in ASCII: the certificate has to name it in its A-label form, xn--…", u.Host)
	}
	now := c.options.Now()
	who := party{u.Host, of.issuedBy, of.authorityKey()}
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
	// As it is: a few bytes of a compressed one could become any number.
	r.Header.Set("Accept-Encoding", "identity")
	// A cache between, such as the proxy of the environment, asks whether its copy is still good: one from before a revocation is
	// as valid as the newest, and nobody else could tell (RFC 9111, section 5.2.1.4).
	r.Header.Set("Cache-Control", "no-cache")
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
	if coding := answer.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return nil, fmt.Errorf("an answer in the content coding %.20q, which wasn't asked for: have the server send it as it is", coding)
	}
	return into.read(ctx, answer.Body, most)
}
