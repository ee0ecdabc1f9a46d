package proxies_test

import (
	"crypto/tls"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/examples/proxies"
)

// separators are the characters of a field name (RFC 9110, section 5.6.2) that some program takes for a hyphen: CGI, and what
// reads a request as CGI does, knows a header by the name of an environment variable.
const separators = "-!#$%&'*+.^_`|~"

// recorder is an API that takes down the names of the headers in a request.
type recorder struct {
	*httptest.Server
	names chan []string
}

func newRecorder(t *testing.T) recorder {
	t.Helper()
	r := recorder{names: make(chan []string, 1)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		r.names <- slices.Sorted(maps.Keys(q.Header))
	}))
	t.Cleanup(r.Close)
	return r
}

// arrived sends a request without a certificate through the proxy, and names the headers that reached the API beside those of
// every request.
func (r recorder) arrived(t *testing.T, c *cast, address, alpn string, fields []field, usual []string) (names []string, status int) {
	t.Helper()
	config := &tls.Config{ServerName: "localhost", RootCAs: c.authority.Pool(), NextProtos: []string{alpn}, MinVersion: tls.VersionTLS13}
	conn, err := tls.Dial("tcp", address, config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	exchange := exchange1
	if alpn == "h2" {
		exchange, fields = exchange2, respelled(fields, strings.ToLower)
	}
	answer, err := exchange(conn, fields)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case names = <-r.names:
	default:
	}
	return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(usual, name) }), answer.status
}

// No header that names another method or path, or that the proxy sets, reaches the API under a name that it may take for the
// same, whatever stands for the hyphens.
func TestSpellings(t *testing.T) {
	need(t, "nginx", "apache", "haproxy")
	c := newCast(t)
	for _, name := range []string{"nginx", "haproxy", "haproxy-rfc9440", "envoy"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := kindOf(name)
			api := newRecorder(t)
			front, err := proxies.Start(k.proxy, proxies.Settings{
				API: api.Listener.Addr().String(), Secret: secret, Server: c.authority.Server(), Clients: c.clients, Program: k.program(t),
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(front.Stop)
			managed := slices.Concat(overrides, k.lines(c.owner.Certificate.Certificate[0]), []field{{"X-Proxy-Secret", guessed}})
			for _, alpn := range []string{"http/1.1", "h2"} {
				usual, status := api.arrived(t, c, front.Address, alpn, nil, nil)
				if status != http.StatusOK || !slices.Contains(usual, "X-Proxy-Secret") {
					t.Fatalf("%s: got %d %q", alpn, status, usual)
				}
				for _, f := range managed {
					for _, s := range spellings(f.name) {
						sent := []field{{s, f.value}}
						if got, status := api.arrived(t, c, front.Address, alpn, sent, usual); len(got) > 0 {
							t.Errorf("%s, %s: got %d, the API has seen %q", alpn, s, status, got)
						}
					}
				}
			}
		})
	}
}

// httpd has no pattern for the names of headers to remove. Behind it, the Guard refuses those with another method, and keeps what
// the proxy sets from the handler.
func TestSpellingsApache(t *testing.T) {
	need(t, "apache")
	c := newCast(t)
	l := newLane(t, c, kindOf("apache"), "")
	token := field{"Authorization", "Bearer " + c.token(c.owner)}
	for _, f := range slices.Concat(overrides[:3], l.forged()) {
		want := "200 verified"
		if f.value == "DELETE" {
			want = "400"
		}
		for _, s := range spellings(f.name) {
			if strings.Contains(s, "-") && strings.EqualFold(s, f.name) {
				continue // removed or replaced by the file
			}
			if got, _ := l.once(l.config(ways[1], c.owner), "http/1.1", []field{token, {s, f.value}}); got != want {
				t.Errorf("%s: got %s, want %s", s, got, want)
			}
		}
	}
}

// spellings are those of a name with each separator, in odd cases, and with a different one at each place.
func spellings(name string) (all []string) {
	for i, s := range separators {
		all = append(all, strings.ReplaceAll(oddCase(name), "-", string(s)))
		n := i
		all = append(all, strings.Map(func(c rune) rune {
			if c == '-' {
				n++
				return rune(separators[n%len(separators)])
			}
			return c
		}, name))
	}
	return all
}
