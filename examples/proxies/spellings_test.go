package proxies_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/examples/proxies"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// separators are the characters of a field name (RFC 9110, section 5.6.2) that some program takes for a hyphen: CGI, and what
// reads a request as CGI does, knows a header by the name of an environment variable.
const separators = "-!#$%&'*+.^_`|~"

// spellings are those of a name with each separator for the first hyphen, the last one and all, in several cases, and with a
// different one at each place. They come in the same order for each name.
func spellings(name string) (all []string) {
	for i, c := range separators {
		s, at, n := string(c), strings.LastIndex(name, "-"), i
		whole := strings.ReplaceAll(name, "-", s)
		all = append(all, strings.Replace(name, "-", s, 1), name[:at]+s+name[at+1:], whole, strings.ToLower(whole), strings.ToUpper(whole),
			oddCase(whole), strings.Map(func(c rune) rune {
				if c == '-' {
					n++
					return rune(separators[n%len(separators)])
				}
				return c
			}, name))
	}
	return all
}

// folded is a name as CGI and its heirs read it.
func folded(name string) string {
	return strings.Map(func(c rune) rune {
		if c < '0' || c > '9' && c < 'a' || c > 'z' {
			return '-'
		}
		return c
	}, strings.ToLower(name))
}

// What becomes of a client's header that an API may take for one of the proxy's, or for another method or path.
const (
	removed = "removed, or replaced"
	refused = "the request is refused"
	passed  = "passed on, unless spelled as the proxy has it"
)

// spellers are the proxies with what they do. An API that isn't of Go must not find a client's certificate, secret, path or method
// under any name that it takes for the proxy's; where a proxy passes it on, that is for the Guard: see TestSpellingsPassed.
var spellers = []struct {
	kind     string
	lua      bool // Apache with apache-names.lua
	insecure bool // Traefik's entry point believes every sender
	want     string
}{
	{kind: "nginx", want: removed},
	{kind: "apache", want: passed},
	{kind: "apache", lua: true, want: refused},
	{kind: "haproxy", want: removed},
	{kind: "haproxy-rfc9440", want: removed},
	{kind: "caddy", want: removed},
	{kind: "caddy 2.11", want: removed},
	{kind: "traefik", want: removed},
	{kind: "traefik", insecure: true, want: removed},
	{kind: "envoy", want: removed},
}

func TestSpellings(t *testing.T) {
	need(t, "nginx", "apache", "haproxy", "caddy")
	c := newCast(t)
	for _, tt := range spellers {
		k := kindOf(tt.kind)
		name, configuration := k.name, ""
		if tt.lua {
			name, configuration = name+" with Lua", withLua(t)
		}
		if tt.insecure {
			name, k.static = name+" insecure", insecure()
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := newRecorder(t)
			front, err := proxies.Start(k.proxy, proxies.Settings{
				Program: k.program(t), API: api.Listener.Addr().String(), Secret: secret, Server: c.authority.Server(), Clients: c.clients,
				Configuration: configuration, Static: k.static,
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(front.Stop)
			managed := append([]string{"X-Proxy-Secret"}, k.format.Headers()...)
			for _, f := range overrides {
				managed = append(managed, f.name)
			}
			for _, alpn := range []string{"http/1.1", "h2"} {
				for _, as := range []*popauthtest.Client{nil, c.owner} {
					h, status := api.ask(t, c, front.Address, alpn, as, nil)
					if status != http.StatusOK || h.Get("X-Proxy-Secret") != secret {
						t.Fatalf("%s: got %d %q, want 200 and the secret", alpn, status, h)
					}
					for i := range spellings(managed[0]) {
						var sent []field
						for _, name := range managed {
							sent = append(sent, field{spellings(name)[i], "evil"})
						}
						h, status := api.ask(t, c, front.Address, alpn, as, sent)
						for j, name := range managed {
							want := wantFor(tt.want, name, sent[j].name)
							if got := outcomeOf(t, h, status, name); got != want {
								t.Errorf("%s, certificate %t, %s: got %s, want %s", alpn, as != nil, sent[j].name, got, want)
							}
						}
					}
				}
			}
		})
	}
}

// wantFor is what becomes of one spelling: the name itself, in whatever case, is replaced everywhere.
func wantFor(want, name, spelled string) string {
	if strings.EqualFold(name, spelled) {
		return removed
	}
	return want
}

// outcomeOf tells what became of a client's header: nil is that of a request that hasn't reached the API.
func outcomeOf(t *testing.T, h http.Header, status int, name string) string {
	t.Helper()
	if h == nil && status == http.StatusBadRequest {
		return refused
	}
	if h == nil || status != http.StatusOK {
		t.Errorf("got %d, and the API %q", status, h)
	}
	for arrived, values := range h {
		if folded(arrived) == folded(name) && strings.Contains(strings.Join(values, ","), "evil") {
			return passed
		}
	}
	return removed
}

// withLua is Apache's file with apache-names.lua, as that says.
func withLua(t *testing.T) string {
	t.Helper()
	const module = "/usr/lib/apache2/modules/mod_lua.so"
	_, err := os.Stat(module)
	installed(t, err)
	script, err := os.ReadFile("apache-names.lua")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "popauth-") // httpd's own user reads it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "apache-names.lua")
	if err := os.WriteFile(path, script, 0o644); err != nil {
		t.Fatal(err)
	}
	lines := "\tLuaScope thread\n\tLuaHookAccessChecker " + path + " refuse early\n"
	for line := range strings.Lines(lines) {
		said := strings.TrimPrefix(strings.ReplaceAll(line, path, "/etc/apache2/apache-names.lua"), "\t")
		if !strings.Contains(string(script), "--\t"+said) {
			t.Errorf("apache-names.lua doesn't say %q", said)
		}
	}
	text := file(kindOf("apache"))
	return "LoadModule lua_module " + module + "\n" + strings.Replace(text, "\tSSLEngine on\n", "\tSSLEngine on\n"+lines, 1)
}

// Behind Apache's file as it is, the Guard refuses a request that names another method, and keeps from the handler what the proxy
// sets.
func TestSpellingsPassed(t *testing.T) {
	need(t, "apache")
	c := newCast(t)
	l := newLane(t, c, kindOf("apache"), "")
	token := field{"Authorization", "Bearer " + c.token(c.owner)}
	for _, f := range slices.Concat(overrides[:3], l.forged()) {
		for _, s := range spellings(f.name) {
			want := "200 verified"
			if f.value == "DELETE" && !strings.EqualFold(s, f.name) {
				want = "400"
			}
			if got, _ := l.once(l.config(ways[1], c.owner), "http/1.1", []field{token, {s, f.value}}); got != want {
				t.Errorf("%s: got %s, want %s", s, got, want)
			}
		}
	}
}

// recorder is an API that takes down the headers of a request.
type recorder struct {
	*httptest.Server
	seen chan http.Header
}

func newRecorder(t *testing.T) recorder {
	t.Helper()
	r := recorder{seen: make(chan http.Header, 1)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) { r.seen <- q.Header }))
	t.Cleanup(r.Close)
	return r
}

// ask sends a request through the proxy, and returns the headers that reached the API: nil if none did.
func (r recorder) ask(t *testing.T, c *cast, address, alpn string, as *popauthtest.Client, fields []field) (h http.Header, status int) {
	t.Helper()
	config := &tls.Config{ServerName: "localhost", RootCAs: c.authority.Pool(), NextProtos: []string{alpn}, MinVersion: tls.VersionTLS13}
	if as != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &as.Certificate, nil }
	}
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
	case h = <-r.seen:
	default:
	}
	return h, answer.status
}

// arrived are the names of headers that the API sees beside the usual ones.
func (r recorder) arrived(t *testing.T, c *cast, address, alpn string, fields []field, usual []string) (names []string, status int) {
	t.Helper()
	h, status := r.ask(t, c, address, alpn, nil, fields)
	for name := range h {
		if !slices.Contains(usual, name) {
			names = append(names, name)
		}
	}
	return names, status
}
