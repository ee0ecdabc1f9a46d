package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net/http"
	"slices"
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
// a name of the client's.
func TestForeignNames(t *testing.T) {
	for _, l := range lanes {
		if l.proxy != "caddy" && l.proxy != "traefik" {
			continue
		}
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			w := opened(t, l, nil)
			for _, separator := range "-!#$%&'*+.^_`|~" {
				w.takeForeign(t, string(separator), "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-URL",
					"X-Rewrite-URL")
				if separator != '-' { // where such a one reaches the service, it refuses
					w.takeForeign(t, string(separator), "X-Auth-Issuer", "X-Auth-Subject", "X-Auth-Client", "X-Auth-Scope",
						"X-Auth-Binding", "X-Auth-Tenant")
				}
			}
		})
	}
}

// takeForeign sends these headers with a separator for some hyphens or all, and reports those that the API has received.
func (w *world) takeForeign(t *testing.T, separator string, managed ...string) {
	t.Helper()
	var sent strings.Builder
	for _, name := range managed {
		at := strings.LastIndex(name, "-")
		all := strings.ReplaceAll(name, "-", separator)
		for _, spelled := range []string{strings.Replace(name, "-", separator, 1), name[:at] + separator + name[at+1:],
			all, strings.ToLower(all), strings.ToUpper(all)} {
			fmt.Fprintf(&sent, "%s: evil\r\n", spelled)
		}
	}
	status, seen := foreign(t, w, sent.String())
	if status != 200 || len(seen) != 1 {
		t.Errorf("%s with %q: got %d, want 200", managed[0], separator, status)
	}
	for _, h := range seen {
		for name, values := range h {
			if slices.ContainsFunc(managed, func(m string) bool { return folded(m) == folded(name) }) && slices.Contains(values, "evil") {
				t.Errorf("VULNERABLE: the API sees a client's %s", name)
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
