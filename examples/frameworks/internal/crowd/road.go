package crowd

import (
	"cmp"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/seed-171ab058/popauth/popauthtest"
)

// road is how requests get to the API: over TLS, a connection or two for each certificate, or over a proxy's few.
type road struct {
	url     string
	base    string
	clients map[*popauthtest.Client]*http.Client // nil: without certificate
	proxy   *http.Client

	// trailers are clients that speak HTTP/1.1: a trailer that crosses a refusal is a connection error in HTTP/2, at the cost of
	// all other requests of the connection.
	trailers map[*popauthtest.Client]*http.Client
}

func newRoad(w *World, addr string, connections int) *road {
	r := &road{base: w.base, clients: map[*popauthtest.Client]*http.Client{}, trailers: map[*popauthtest.Client]*http.Client{}}
	if connections > 0 {
		r.url = "http://" + addr
		r.proxy = &http.Client{Transport: &http.Transport{MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections}}
		return r
	}
	r.url = "https://" + addr
	all := []*popauthtest.Client{nil, w.thief}
	for _, o := range w.owners {
		all = append(all, o.client)
	}
	for _, c := range all {
		config := &tls.Config{RootCAs: w.Roots.Pool(), MinVersion: tls.VersionTLS12}
		if c != nil {
			config.Certificates = []tls.Certificate{c.Certificate}
		}
		r.clients[c] = &http.Client{Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 4}}
		r.trailers[c] = &http.Client{Transport: &http.Transport{TLSClientConfig: config.Clone(), MaxIdleConnsPerHost: 4}}
	}
	return r
}

func (r *road) close() {
	for _, clients := range []map[*popauthtest.Client]*http.Client{r.clients, r.trailers} {
		for _, c := range clients {
			c.CloseIdleConnections()
		}
	}
	if r.proxy != nil {
		r.proxy.CloseIdleConnections()
	}
}

// do sends c, and keeps the proof that it has made in it.
func (r *road) do(c *call, method, path, contentType, body string) (int, string, error) {
	request, err := http.NewRequest(method, r.url+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	if c.behind != nil {
		request.Body, request.ContentLength = io.NopCloser(strings.NewReader(cmp.Or(body, "a"))), -1
		request.Trailer = http.Header{"X-Ssl-Client-Cert": {base64.StdEncoding.EncodeToString(c.behind.Certificate.Certificate[0])}}
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	request.Header["Authorization"] = c.tokens
	for name, line := range c.header {
		request.Header.Set(name, line)
	}
	if c.key != nil {
		if c.proof == "" {
			c.proof = c.key.Proof(method, r.base+path, c.bound)
		}
		request.Header.Set("DPoP", c.proof)
	}
	client := r.clients[c.client]
	if c.behind != nil {
		client = r.trailers[c.client]
	}
	if r.proxy != nil {
		client = r.proxy
		request.Header.Set("X-Proxy-Secret", Secret)
		if c.client != nil {
			request.Header.Set("X-SSL-Client-Cert", base64.StdEncoding.EncodeToString(c.client.Certificate.Certificate[0]))
		}
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	return response.StatusCode, string(b), err
}

// tally is what one worker has seen.
type tally struct {
	want     map[string]int // answers of the shop
	statuses map[int]int
	wrong    []string
}

func (t *tally) add(d *draw, api API, r *road) {
	c := d.next()
	if c.behind != nil && api.NoTrailers {
		c.status = http.StatusBadRequest
	}
	method, path, contentType, body := api.form(c.route)
	status, got, err := r.do(&c, method, path, contentType, body)
	t.statuses[status]++
	if c.words != "" {
		t.want[c.words]++
	}
	switch {
	case err != nil:
		t.wrong = append(t.wrong, fmt.Sprintf("%s: %s: %v", c.name, c.route, err))
	case status != c.status:
		t.wrong = append(t.wrong, fmt.Sprintf("%s: %s: got %d %q, want %d", c.name, c.route, status, got, c.status))
	case c.words != "" && got != api.says(c.words):
		t.wrong = append(t.wrong, fmt.Sprintf("VULNERABLE: %s: %s: got %q, want %q", c.name, c.route, got, api.says(c.words)))
	}
	if status == http.StatusOK && c.proof != "" {
		d.used = &c
	}
}

func (a API) form(route string) (method, path, contentType, body string) {
	if a.Form != nil {
		return a.Form(route)
	}
	method, path, _ = strings.Cut(route, " ")
	return method, path, "", ""
}

func (a API) says(words string) string {
	if a.Says != nil {
		return a.Says(words)
	}
	return words
}
