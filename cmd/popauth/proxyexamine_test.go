package main

import (
	"crypto/tls"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/seed-171ab058/popauth/examples/proxies"
	"github.com/seed-171ab058/popauth/internal/counterpart"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// front is a proxy, with what is shipped for it.
type front struct {
	name, file string
	format     string // the certificate's header
	all        []broken
	path       func(testing.TB) string // of the program, where that is the current one
}

func fronts() []front {
	wheel := func(w counterpart.Wheel) func(testing.TB) string { return w.Path }
	return []front{
		{"nginx", "nginx.conf", "X-Ssl-Client-Cert", brokenNginx, nil},
		{"caddy", "Caddyfile", "X-Ssl-Client-Cert", brokenCaddy, nil},
		{"traefik", "traefik.yaml", "X-Forwarded-Tls-Client-Cert", brokenTraefik, wheel(counterpart.Traefik())},
		{"envoy", "envoy.yaml", "X-Forwarded-Client-Cert", brokenEnvoy, wheel(counterpart.Envoy())},
	}
}

// texts are the shipped files with a mistake.
func (f front) texts(t *testing.T, b broken) (text, static string) {
	t.Helper()
	text, static = proxies.Configuration(f.file), proxies.Configuration("traefik-static.yaml")
	if b.old != "" && !strings.Contains(text, b.old) || !strings.Contains(static, b.static[0]) {
		t.Fatalf("%s, %s: nothing to change", f.name, b.mistake)
	}
	if b.old != "" {
		text = strings.Replace(text, b.old, b.new, 1)
	}
	if !strings.Contains(text, b.also[0]) {
		t.Fatalf("%s, %s: nothing else to change", f.name, b.mistake)
	}
	return strings.Replace(text, b.also[0], b.also[1], 1), strings.Replace(static, b.static[0], b.static[1], 1)
}

var code = regexp.MustCompile(`(?m)^✗ (\S+)`)

// check runs the command on files, and returns what it finds.
func (f front) check(t *testing.T, text, static string) (codes, out string) {
	t.Helper()
	counterpart.Need(t, "caddy")
	l := &lab{T: t, dir: t.TempDir()}
	for name, value := range map[string]string{"LISTEN": "localhost:8443", "API": "127.0.0.1:1", "CERTS": "/certs",
		"PROXY_SECRET": "0123456789abcdef"} {
		t.Setenv(name, value)
	}
	values := strings.NewReplacer("${LISTEN_HOST}", "127.0.0.1", "${LISTEN_PORT}", "8443", "${API_HOST}", "127.0.0.1", "${API_PORT}", "1")
	l.file(f.file, []byte(values.Replace(text)))
	args := []string{"proxy", f.name, "--check", l.path(f.file), "--secret-header", "X-Proxy-Secret"}
	if f.name == "traefik" {
		l.file("static.yaml", []byte(static))
		args = append(args, "--check", l.path("static.yaml"))
	}
	status, out, errOut := l.run("", args...)
	found := map[string]bool{}
	for _, m := range code.FindAllStringSubmatch(out, -1) {
		found[m[1]] = true
	}
	codes = strings.Join(slices.Sorted(maps.Keys(found)), " ")
	if want := map[bool]int{true: exitOK, false: exitRefused}[codes == ""]; status != want {
		t.Errorf("%s: got %d, want %d: %s%s", f.name, status, want, out, errOut)
	}
	if strings.Contains(out, "0123456789abcdef") {
		t.Errorf("the secret is printed: %s", out)
	}
	return codes, out + errOut
}

// Every mistake is found by its name, and nothing in what is shipped.
func TestProxyCheck(t *testing.T) {
	n := 0
	for _, f := range fronts() {
		text, static := f.texts(t, broken{})
		if codes, out := f.check(t, text, static); codes != "" {
			t.Errorf("%s as shipped: got %s", f.name, out)
		}
		for _, b := range f.all {
			text, static := f.texts(t, b)
			if codes, out := f.check(t, text, static); codes != b.codes {
				t.Errorf("%s, %s: got %q, want %q: %s", f.name, b.mistake, codes, b.codes, out)
			}
			n++
		}
	}
	t.Logf("%d broken configurations", n)
}

// apiBehind keeps the headers of the last request.
type apiBehind struct {
	*httptest.Server
	mu   sync.Mutex
	last http.Header
}

func newAPIBehind(t *testing.T) *apiBehind {
	a := &apiBehind{}
	a.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.last = r.Header
	}))
	a.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(a.Close)
	return a
}

func (a *apiBehind) take() http.Header {
	a.mu.Lock()
	defer a.mu.Unlock()
	last := a.last
	a.last = nil
	return last
}

const forged = "forged"

// ask sends a request that has every header forged, in every spelling, or none.
func ask(t *testing.T, address string, c *popauthtest.Client, headers http.Header) {
	t.Helper()
	config := &tls.Config{ServerName: "localhost", NextProtos: []string{"http/1.1"}}
	config.InsecureSkipVerify = true
	if c != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c.Certificate, nil }
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	r, err := http.NewRequest(http.MethodGet, "https://localhost:"+port+"/orders", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = headers
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
}

// forgeries are the headers that a client may not send, in the spelling that is asked for.
func forgeries(name string) http.Header {
	return http.Header{name: {forged}, "Authorization": {"Bearer x"}}
}

// holds tells whether a forged header arrived, in whatever place of its line.
func holds(h http.Header, name string) bool {
	for key, values := range h {
		if strings.EqualFold(key, name) && slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, forged) }) {
			return true
		}
	}
	return false
}

// What is found is so: the real proxies let through what the finding says, and as shipped they don't.
func TestProxyCheckIsTrue(t *testing.T) {
	for _, f := range fronts() {
		t.Run(f.name, func(t *testing.T) {
			program := ""
			if f.path != nil {
				program = f.path(t)
			} else {
				counterpart.Need(t, f.name)
			}
			authority := popauthtest.NewCA(t)
			owner := authority.Client("owner")
			api := newAPIBehind(t)
			start := func(b broken) *proxies.Proxy {
				text, static := f.texts(t, b)
				p, err := proxies.Start(f.name, proxies.Settings{
					API: api.Listener.Addr().String(), Secret: "0123456789abcdef", Server: authority.Server(), Clients: authority.PEM(),
					Configuration: text, Static: static, Program: program,
				})
				if err != nil {
					t.Fatalf("%s: %v", b.mistake, err)
				}
				return p
			}
			shipped := start(broken{})
			defer shipped.Stop()
			has := func(h http.Header) bool { return len(h.Get(f.format)) > 200 }
			ask(t, shipped.Address, owner, http.Header{})
			if h := api.take(); !has(h) {
				t.Fatalf("as shipped: no certificate in %v", h)
			}
			for _, b := range f.all {
				if b.unrun || b.leaks == "" && !b.lost {
					continue
				}
				p := start(b)
				if b.leaks != "" {
					as := map[bool]*popauthtest.Client{true: owner}[strings.Contains(b.codes, "appended")]
					ask(t, shipped.Address, as, forgeries(b.leaks))
					if h := api.take(); h == nil || holds(h, b.leaks) {
						t.Errorf("as shipped, %s: got %v", b.leaks, h)
					}
					ask(t, p.Address, as, forgeries(b.leaks))
					if h := api.take(); !holds(h, b.leaks) {
						t.Errorf("%s: got %v, want the client's %s in it", b.mistake, h, b.leaks)
					}
				}
				if b.lost {
					ask(t, p.Address, owner, http.Header{})
					if h := api.take(); has(h) {
						t.Errorf("%s: got %v, want no certificate", b.mistake, h)
					}
				}
				p.Stop()
			}
		})
	}
}

// A configuration that this program writes has nothing to find, with any options.
func TestProxyCheckOfWritten(t *testing.T) {
	l := newLab(t)
	l.file("secret", []byte("0123456789abcdef"))
	counterpart.Need(t, "caddy")
	for name, more := range map[string][]string{
		"nginx":              {"nginx", "--clients", "/tls/ca"},
		"nginx, other names": {"nginx", "--clients", "/tls/ca", "--header", "X-A-B", "--verify-header", "X-C-D"},
		"nginx, no verdict":  {"nginx", "--clients", "/tls/ca", "--verdict=false"},
		"nginx, two APIs":    {"nginx", "--clients", "/tls/ca", "--api", "127.0.0.1:2"},
		"caddy":              {"caddy", "--header", "X-A-B"},
		"envoy":              {"envoy"},
	} {
		for _, secret := range [][]string{nil, {"--secret-file", l.path("secret")}, {"--secret-file", l.path("secret"),
			"--secret-header", "X-S"}} {
			args := append(append([]string{"proxy"}, more...), secret...)
			_, text, errOut := l.run("", append(slices.Clone(args), "--listen", "127.0.0.1:8443", "--api", "127.0.0.1:1",
				"--certificate", "/tls/crt", "--key", "/tls/crt.key")...)
			if text == "" {
				t.Fatalf("%s: %s", name, errOut)
			}
			l.file("written", []byte(text))
			if status, out, errOut := l.run("", append(args, "--check", l.path("written"))...); status != exitOK {
				t.Errorf("%s, %v: got %d, %s%s", name, secret, status, out, errOut)
			}
		}
	}
}

// What can't be read is an error that names the file, and no answer.
func TestProxyCheckErrors(t *testing.T) {
	l := newLab(t)
	counterpart.Need(t, "caddy")
	l.file("json", []byte(`{"apps":{}}`))
	l.file("text", []byte("server { listen 443"))
	l.file("brace", []byte("server { } }"))
	l.file("lua", []byte("server { access_by_lua_block { ngx.req.set_header(1) } }"))
	l.file("quote", []byte("server { a \"b; }"))
	l.file("yaml", []byte("a: [\n"))
	l.file("nothing", []byte(""))
	for _, tt := range []struct {
		args []string
		says string
	}{
		{[]string{"nginx", "--check", l.path("none")}, "none"},
		{[]string{"nginx", "--check", l.path("text")}, "text:1: the file ends within a directive"},
		{[]string{"nginx", "--check", l.path("brace")}, "brace too many"},
		{[]string{"nginx", "--check", l.path("lua")}, "Lua"},
		{[]string{"nginx", "--check", l.path("quote")}, "a quote that isn't closed"},
		{[]string{"nginx", "--check", l.path("text"), "--check", l.path("brace")}, "nginx -T"},
		{[]string{"caddy", "--check", l.path("json")}, "no apps.http.servers"},
		{[]string{"caddy", "--check", l.path("text")}, "caddy adapt"},
		{[]string{"caddy", "--check", "-"}, "caddy adapt"},
		{[]string{"envoy", "--check", l.path("yaml")}, "YAML"},
		{[]string{"haproxy", "--check", l.path("text")}, "isn't read"},
		{[]string{"traefik"}, "--key is required"},
		{[]string{"nginx"}, "--certificate is required"},
	} {
		status, out, errOut := l.run("x", append([]string{"proxy"}, tt.args...)...)
		if status != exitUsage || !strings.Contains(errOut, tt.says) {
			t.Errorf("%v: got %d, %s%s, want %q", tt.args, status, out, errOut, tt.says)
		}
	}
	for _, name := range []string{"nginx", "traefik", "envoy"} {
		if status, out, _ := l.run("", "proxy", name, "--check", l.path("nothing")); status != exitRefused || !strings.Contains(out,
			"no-upstream") {
			t.Errorf("%s, an empty file: got %d, %s", name, status, out)
		}
	}
}

// A dump of nginx -T is read with what its files include, where they include it.
func TestProxyCheckDump(t *testing.T) {
	counterpart.Need(t, "nginx", "bash", "openssl")
	l := newLab(t)
	certificatesFor(t, l)
	site := strings.NewReplacer("${LISTEN}", "127.0.0.1:8443", "${API}", "127.0.0.1:1", "${CERTS}", l.dir, "${PROXY_SECRET}",
		"0123456789abcdef").
		Replace(proxies.Configuration("nginx.conf"))
	main := "pid " + l.path("pid") + ";\nevents {}\nhttp {\n	access_log off;\n	include site*.conf;\n	include none*.conf;\n}\n"
	l.file("nginx.conf", []byte(main))
	for mistake, want := range map[string]int{"": exitOK, "		proxy_set_header X-Ssl-Client-Cert " +
		"$ssl_client_escaped_cert;\n": exitRefused} {
		l.file("site.conf", []byte(strings.Replace(site, mistake, "", 1)))
		dump, err := nginxDump(l)
		if err != nil {
			t.Fatal(err)
		}
		if status, out, errOut := l.run(dump, "proxy", "nginx", "--check", "-", "--secret-header", "X-Proxy-Secret"); status != want ||
			want == exitRefused && !strings.Contains(out, filepath.Join(l.dir, "site.conf")+":") {
			t.Errorf("%q: got %d, want %d: %s%s", mistake, status, want, out, errOut)
		}
	}
	if status, out, _ := l.run("", "proxy", "nginx", "--check", l.path("nginx.conf")); status != exitRefused || !strings.Contains(out,
		"unread") {
		t.Errorf("the file alone: got %d, %s, want that its includes are not read", status, out)
	}
}

// Each finding is that of some mistake here, and the page says what follows from it.
func TestProxyCheckCodes(t *testing.T) {
	source, err := os.ReadFile(filepath.Join("internal", "proxycheck", "finding.go"))
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "command.md"))
	if err != nil {
		t.Fatal(err)
	}
	made := []string{"no-upstream"} // of an empty file
	for _, f := range fronts() {
		for _, b := range f.all {
			made = append(made, strings.Fields(b.codes)...)
		}
	}
	for _, m := range regexp.MustCompile(`Code = "([a-z-]+)"`).FindAllStringSubmatch(string(source), -1) {
		if !slices.Contains(made, m[1]) {
			t.Errorf("%s: no broken configuration has it", m[1])
		}
		if !strings.Contains(string(page), "`"+m[1]+"`") {
			t.Errorf("%s: docs/command.md doesn't know it", m[1])
		}
	}
}
