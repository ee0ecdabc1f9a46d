package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxShown bounds what is printed of one body.
const maxShown = 4 << 10

// transcript prints the requests that are sent, and the answers, without secrets.
type transcript struct {
	out     io.Writer
	verbose bool
	mask    *mask
	api     *url.URL // its answers are printed elsewhere; nil: there is none
	timeout time.Duration

	mu sync.Mutex
}

// around is a transport whose requests are printed.
func (t *transcript) around(base http.RoundTripper) http.RoundTripper { return spoken{t, base} }

type spoken struct {
	transcript *transcript
	base       http.RoundTripper
}

func (s spoken) RoundTrip(r *http.Request) (*http.Response, error) {
	t := s.transcript
	asked := ""
	if t.verbose {
		asked = t.request(r)
	}
	start := time.Now()
	resp, err := t.within(s.base, r)
	t.mu.Lock()
	defer t.mu.Unlock()
	line := fmt.Sprintf("%s %s", r.Method, t.target(r.URL))
	if err != nil {
		t.print("%s%s: %s\n", asked, line, err)
		return nil, err
	}
	if !t.verbose {
		t.print("%s: %s%s\n", line, resp.Status, said(resp))
		return resp, nil
	}
	answer, err := t.answer(r, resp)
	if err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	t.print("# %s, %s\n%s%s\n", line, time.Since(start).Round(time.Millisecond), asked, answer)
	return resp, nil
}

// within sends a request whose answer, with its body, comes in time: a server may send that byte by byte.
func (t *transcript) within(base http.RoundTripper, r *http.Request) (*http.Response, error) {
	if t.timeout <= 0 {
		return base.RoundTrip(r)
	}
	ctx, cancel := context.WithTimeout(r.Context(), t.timeout)
	resp, err := base.RoundTrip(r.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, err
	}
	resp.Body = timed{resp.Body, cancel}
	return resp, nil
}

// timed is a body that is read in time.
type timed struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b timed) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

// print prints lines. What a server sends can't move the cursor, nor show a secret that it was sent.
func (t *transcript) print(format string, args ...any) {
	for line := range strings.Lines(t.mask.text(fmt.Sprintf(format, args...))) {
		_, _ = fmt.Fprintln(t.out, shown(strings.TrimRight(line, "\r\n")))
	}
}

func (t *transcript) target(u *url.URL) string {
	if u.RawQuery != "" && !t.mask.off {
		return u.Scheme + "://" + u.Host + u.EscapedPath() + "?…" // some have a key there
	}
	return u.String()
}

// said is what an answer says in its headers of a refusal.
func said(resp *http.Response) string {
	text := ""
	for _, challenge := range resp.Header.Values("WWW-Authenticate") {
		text += ", " + challenge
	}
	if nonce := resp.Header.Get("DPoP-Nonce"); nonce != "" {
		text += ", with a nonce for the next proof"
	}
	return text
}

func (t *transcript) request(r *http.Request) string {
	var b strings.Builder
	target := r.URL.RequestURI()
	if !t.mask.off {
		target, _, _ = strings.Cut(target, "?")
		if r.URL.RawQuery != "" {
			target += "?…"
		}
	}
	_, _ = fmt.Fprintf(&b, "> %s %s\n> Host: %s\n", r.Method, target, r.URL.Host)
	t.headers(&b, "> ", r.Header)
	if r.GetBody == nil {
		return b.String()
	}
	body, err := r.GetBody()
	if err != nil {
		return b.String()
	}
	defer func() { _ = body.Close() }()
	text, err := io.ReadAll(io.LimitReader(body, maxInput)) // whole, so that no secret is cut before it is known
	if err != nil || len(text) == 0 {
		return b.String()
	}
	masked := t.mask.text(string(text))
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		masked = t.mask.form(string(text))
	}
	t.body(&b, "> ", masked)
	return b.String()
}

// answer prints a body that isn't the API's, and puts it back.
func (t *transcript) answer(r *http.Request, resp *http.Response) (string, error) {
	var b strings.Builder
	_, _ = fmt.Fprintf(&b, "< %s\n", resp.Status)
	t.headers(&b, "< ", resp.Header)
	if t.api != nil && r.URL.Host == t.api.Host && r.URL.Path == t.api.Path {
		return b.String(), nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxInput))
	if err != nil {
		return "", err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), resp.Body), resp.Body}
	t.body(&b, "< ", t.mask.json(string(body)))
	return b.String(), nil
}

func (t *transcript) headers(b *strings.Builder, prefix string, h http.Header) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, value := range h[name] {
			_, _ = fmt.Fprintf(b, "%s%s: %s\n", prefix, name, t.mask.header(name, value))
		}
	}
}

func (t *transcript) body(b *strings.Builder, prefix, text string) {
	if len(text) > maxShown {
		text = strings.ToValidUTF8(text[:maxShown], "") + "…"
	}
	b.WriteString(prefix + "\n")
	for line := range strings.Lines(text) {
		b.WriteString(prefix + strings.TrimRight(line, "\r\n") + "\n")
	}
}
