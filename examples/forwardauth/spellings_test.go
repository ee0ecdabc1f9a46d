package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// folded is a name as CGI and its heirs read it.
func folded(name string) string {
	return strings.Map(func(c rune) rune {
		if c < '0' || c > '9' && c < 'a' || c > 'z' {
			return '-'
		}
		return c
	}, strings.ToLower(name))
}

// An API that isn't of Go takes other characters in a name for hyphens: it must not find who calls, a path or a method under such
// a name of the client's. It is removed or replaced, or the service refuses the request.
func TestSpellings(t *testing.T) {
	for _, l := range lanes {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			w := opened(t, l, nil)
			for _, name := range []string{
				"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-URL", "X-Rewrite-URL", "X-Auth-Issuer",
				"X-Auth-Subject", "X-Auth-Client", "X-Auth-Scope", "X-Auth-Binding", "X-Auth-Tenant",
			} {
				if name == "X-Auth-Tenant" && l.proxy == "nginx" {
					continue // a claim of one's own, for which nginx.conf needs lines of one's own
				}
				for _, c := range "-!#$%&'*+.^_`|~" {
					at, s := strings.LastIndex(name, "-"), string(c)
					all := strings.ReplaceAll(name, "-", s)
					w.tryForeign(t, name, strings.Replace(name, "-", s, 1), name[:at]+s+name[at+1:], all)
					w.tryForeign(t, name, strings.ToLower(all))
					w.tryForeign(t, name, strings.ToUpper(all))
				}
			}
		})
	}
}

// tryForeign sends the owner's request with a header in some spellings, and reports it if the API has received one.
func (w *world) tryForeign(t *testing.T, name string, spellings ...string) {
	t.Helper()
	var lines strings.Builder
	for _, spelled := range spellings {
		fmt.Fprintf(&lines, "%s: evil\r\n", spelled)
	}
	status, seen := foreign(t, w, lines.String())
	if !(status == http.StatusOK && len(seen) == 1) && !(status == http.StatusBadRequest && len(seen) == 0) {
		t.Errorf("%q: got %d, and %d requests at the API, want 200 and one, or 400 and none", spellings, status, len(seen))
	}
	for _, h := range seen {
		for arrived, values := range h {
			if folded(arrived) == folded(name) && strings.Contains(strings.Join(values, ","), "evil") {
				t.Errorf("VULNERABLE: %q: the API sees a client's %s", spellings, arrived)
			}
		}
	}
}

// foreign sends the owner's request with more lines, and returns what the API has received.
func foreign(t *testing.T, w *world, lines string) (status int, seen []http.Header) {
	t.Helper()
	conn, err := tls.Dial("tcp", w.proxy.Address, &tls.Config{ServerName: "localhost", RootCAs: w.authority.Pool(),
		Certificates: []tls.Certificate{w.owner.Certificate}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = fmt.Fprintf(conn, "GET /orders HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nConnection: close\r\n%s\r\n", w.host(),
		w.token, lines)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	w.upstream.mu.Lock()
	defer w.upstream.mu.Unlock()
	seen, w.upstream.seen = w.upstream.seen, nil
	return answer.StatusCode, seen
}
