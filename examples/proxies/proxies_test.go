package proxies_test

import (
	"crypto/tls"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// A row is one request, and what each proxy and the API behind it make of it.
type row struct {
	name   string
	as     *popauthtest.Client // whose certificate the caller has
	owner  *popauthtest.Client // whose token the caller has; nil: as
	fields func(l *lane) []field
	want   string
	except map[string]string // by "proxy", "alpn" or "proxy alpn", which counts most
}

// respelled changes the names of header lines.
func respelled(fields []field, change func(string) string) (changed []field) {
	for _, f := range fields {
		changed = append(changed, field{change(f.name), f.value})
	}
	return changed
}

func hyphensTo(s string) func(string) string {
	return func(name string) string { return strings.ReplaceAll(name, "-", s) }
}

func oddCase(name string) string {
	b := []byte(strings.ToLower(name))
	for i := 0; i < len(b); i += 2 {
		b[i] = strings.ToUpper(name)[i]
	}
	return string(b)
}

// listed adds a Connection line that names headers for the next hop to remove (RFC 9110, section 7.6.1).
func listed(fields []field, names ...string) []field {
	return append(fields, field{"Connection", "close, " + strings.Join(names, ", ")})
}

// overrides are taken by frameworks for the method or the path.
var overrides = []field{
	{"X-HTTP-Method-Override", "DELETE"}, {"X-HTTP-Method", "DELETE"}, {"X-Method-Override", "DELETE"},
	{"X-Original-URL", "/admin"}, {"X-Rewrite-URL", "/admin"},
}

func rows(c *cast) []row {
	forged := func(l *lane) []field { return l.forged() }
	twice := func(l *lane) []field { return slices.Concat(l.forged(), l.forged()) }
	all := []string{
		"X-SSL-Client-Cert", "X-SSL-Client-Verify", "Client-Cert", "X-Forwarded-Tls-Client-Cert", "X-Forwarded-Client-Cert",
		"X-Proxy-Secret",
	}
	verified := map[string]string{}
	for _, k := range kinds {
		if len(k.names) == 1 || k.format.Name() == "rfc9440" { // has no verdict
			verified[k.name] = "200"
		}
	}
	// Names in upper case, and Connection, are malformed in HTTP/2 (RFC 9113, sections 8.2.1 and 8.2.2).
	reset := map[string]string{"h2": "closed"}
	// nginx ignores Connection, and programs in Go answer.
	refused := map[string]string{"h2": "closed", "nginx h2": "401", "caddy h2": "400", "caddy 2.11 h2": "400", "traefik h2": "400"}
	either := maps.Clone(refused)
	maps.Copy(either, verified)
	either["nginx h2"] = "200 verified"
	dropped := maps.Clone(verified) // or else the Guard refuses them
	dropped["apache"] = "400"
	expired := map[string]string{"nginx": "400", "caddy": "200", "caddy 2.11": "200", "traefik": "200", "envoy": "200"}
	return []row{
		{name: "the owner", as: c.owner, want: "200 verified", except: verified},
		{name: "no certificate", owner: c.owner, want: "401"},
		{name: "another certificate", as: c.thief, owner: c.owner, want: "401"},
		{name: "another certificate, the owner's second in the chain", as: c.borrowed, owner: c.owner, want: "401"},
		{name: "no certificate, forged headers", owner: c.owner, fields: forged, want: "401"},
		{name: "another certificate, forged headers", as: c.thief, owner: c.owner, fields: forged, want: "401"},
		{name: "no certificate, each forged line twice", owner: c.owner, fields: twice, want: "401"},
		{name: "another certificate, each forged line twice", as: c.thief, owner: c.owner, fields: twice, want: "401"},
		{name: "the owner, forged lines as well", as: c.owner, fields: twice, want: "200 verified", except: verified},
		{name: "no certificate, forged as `X_SSL_Client_Cert`", owner: c.owner, want: "401",
			fields: func(l *lane) []field { return respelled(l.forged(), hyphensTo("_")) }},
		{name: "no certificate, forged as `X.SSL.Client.Cert`", owner: c.owner, want: "401",
			fields: func(l *lane) []field { return respelled(l.forged(), hyphensTo(".")) }},
		{name: "no certificate, forged as `X~SSL~Client~Cert`", owner: c.owner, want: "401",
			fields: func(l *lane) []field { return respelled(l.forged(), hyphensTo("~")) }},
		{name: "no certificate, forged as `x-ssl-client-cert`", owner: c.owner, want: "401",
			fields: func(l *lane) []field { return respelled(l.forged(), strings.ToLower) }},
		{name: "no certificate, forged as `XsSl-cLiEnT-CeRt`", owner: c.owner, want: "401", except: reset,
			fields: func(l *lane) []field { return respelled(l.forged(), oddCase) }},
		{name: "another certificate, forged, `Connection:` names all", as: c.thief, owner: c.owner, want: "401", except: refused,
			fields: func(l *lane) []field { return listed(l.forged(), all...) }},
		{name: "another certificate, `Connection:` names the certificate", as: c.thief, owner: c.owner, want: "401", except: refused,
			fields: func(*lane) []field {
				return listed(nil, "X-SSL-Client-Cert", "Client-Cert", "X-Forwarded-Tls-Client-Cert", "X-Forwarded-Client-Cert")
			}},
		{name: "the owner, `Connection:` names the verdict", as: c.owner, want: "200 verified", except: either,
			fields: func(*lane) []field { return listed(nil, "X-SSL-Client-Verify") }},
		{name: "the owner, `Connection:` names all", as: c.owner, want: "200 verified", except: either,
			fields: func(*lane) []field { return listed(nil, all...) }},
		{name: "the owner, other methods and URLs in headers", as: c.owner, want: "200 verified", except: verified,
			fields: func(*lane) []field { return overrides }},
		{name: "the same, with `_`", as: c.owner, want: "200 verified", except: dropped,
			fields: func(*lane) []field { return respelled(overrides, hyphensTo("_")) }},
		{name: "a self-signed certificate", as: c.selfSigned, want: "200", except: map[string]string{"apache": "closed"}},
		{name: "an RSA-4096 chain", as: c.rsaChain, want: "200 verified", except: verified},
		{name: "an expired certificate", as: c.expired, want: "closed", except: expired},
	}
}

var ways = []way{
	{"http/1.1", tls.VersionTLS12}, {"http/1.1", tls.VersionTLS13}, {"h2", tls.VersionTLS12}, {"h2", tls.VersionTLS13},
}

// Each cell is four requests: over TLS 1.2 and 1.3, each on a new session and on a resumed one.
func TestProxies(t *testing.T) {
	need(t, "nginx", "apache", "haproxy", "caddy")
	c := newCast(t)
	all := rows(c)
	var mu sync.Mutex
	got := map[string]string{} // by row, proxy and alpn
	t.Run("", func(t *testing.T) {
		for _, k := range kinds {
			t.Run(k.name, func(t *testing.T) {
				t.Parallel()
				l := newLane(t, c, k, "")
				for _, r := range all {
					for _, alpn := range []string{"http/1.1", "h2"} {
						cell := l.cell(t, r, alpn)
						mu.Lock()
						got[r.name+k.name+alpn] = cell
						mu.Unlock()
					}
				}
				if want := k.name == "apache"; l.named.Load() != want {
					t.Errorf("names authorities to callers: got %t, want %t", !want, want)
				}
			})
		}
	})
	table := [][]string{{"the caller has"}}
	for _, k := range kinds {
		table[0] = append(table[0], k.name+" 1.1", k.name+" 2")
	}
	for _, r := range all {
		line := []string{r.name}
		for _, k := range kinds {
			line = append(line, got[r.name+k.name+"http/1.1"], got[r.name+k.name+"h2"])
		}
		table = append(table, line)
	}
	document(t, "answers", table)
}

// cell makes the requests of one cell, and compares the outcome with the one expected.
func (l *lane) cell(t *testing.T, r row, alpn string) string {
	t.Helper()
	owner := r.owner
	if owner == nil {
		owner = r.as
	}
	fields := []field{{"Authorization", "Bearer " + l.token(owner)}}
	if r.fields != nil {
		fields = append(fields, r.fields(l)...)
	}
	if alpn == "h2" { // no upper case, but where that is the point
		fields[0].name = "authorization"
		if !strings.Contains(r.name, "XsSl") {
			fields = respelled(fields, strings.ToLower)
		}
	}
	cell := ""
	for _, w := range ways {
		if w.alpn != alpn {
			continue
		}
		outcome, resumed := l.ask(w, r.as, fields)
		// crypto/tls, and so Traefik, resumes no session of a certificate that has expired.
		again := !l.anew && (l.name != "traefik" || r.as != l.expired)
		if strings.HasPrefix(outcome, "200") && resumed != again {
			t.Errorf("%s, %s: the session was resumed: got %t, want %t", r.name, tls.VersionName(w.version), resumed, again)
		}
		if cell == "" {
			cell = outcome
		} else if cell != outcome {
			cell += ", " + tls.VersionName(w.version) + ": " + outcome
		}
	}
	want := r.want
	for _, key := range []string{l.name, alpn, l.name + " " + alpn} {
		if w, ok := r.except[key]; ok {
			want = w
		}
	}
	if cell != want {
		t.Errorf("%s, %s: got %s, want %s", r.name, alpn, cell, want)
	}
	return cell
}

// Around the proxy, an address is what the caller has: that of the proxy, as whatever runs on the same machine has, or
// another one.
func TestAround(t *testing.T) {
	need(t)
	c := newCast(t)
	table := [][]string{{"the caller comes from"}}
	for _, k := range kinds {
		table[0] = append(table[0], k.name)
	}
	for _, tt := range []struct{ name, from, secret, want string }{
		{"another address, with forged headers", "127.0.0.2", "", "401"},
		{"another address, with forged headers and the secret", "127.0.0.2", secret, "401"},
		{"the proxy's address, with forged headers", "127.0.0.1", "", "400"},
		{"the proxy's address, with forged headers and a wrong secret", "127.0.0.1", guessed, "400"},
		{"the proxy's address, with forged headers and the secret: the proxy itself", "127.0.0.1", secret, "200"},
	} {
		line := []string{tt.name}
		for _, k := range kinds {
			l := newAPI(t, c, k, nil, proxy.TrustPeers(loopback), proxy.TrustSecret("X-Proxy-Secret", secret))
			fields := append(l.lines(c.owner.Certificate.Certificate[0]), field{"Authorization", "Bearer " + c.token(c.owner)})
			if tt.secret != "" {
				fields = append(fields, field{"X-Proxy-Secret", tt.secret})
			}
			got := strings.TrimSuffix(l.direct(tt.from, fields), " verified")
			if got != tt.want {
				t.Errorf("%s, %s: got %s, want %s", tt.name, k.name, got, tt.want)
			}
			line = append(line, got)
		}
		table = append(table, line)
	}
	document(t, "around", table)
}

// Self-signed certificates through Apache need optional_no_ca, and no verdict: new sessions and resumed ones.
func TestApacheSelfSigned(t *testing.T) {
	need(t, "apache")
	c, k := newCast(t), kinds[1]
	text := strings.Replace(file(k), "SSLVerifyClient optional\n", "SSLVerifyClient optional_no_ca\n", 1)
	fields := []field{{"authorization", "Bearer " + c.token(c.selfSigned)}}
	k.format = k.format.WithoutVerdict()
	without := newLane(t, c, k, text)
	for _, w := range ways {
		if got, resumed := without.ask(w, c.selfSigned, fields); got != "200" || !resumed {
			t.Errorf("%s, %s: got %s, resumed %t, want 200, resumed", w.alpn, tls.VersionName(w.version), got, resumed)
		}
	}
}

// nginx reaches the API by a unix socket: no address can be mistaken for the proxy's.
func TestUnixSocket(t *testing.T) {
	need(t, "nginx")
	c := newCast(t)
	dir, err := os.MkdirTemp("", "popauth-") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "api")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l := newAPI(t, c, kinds[0], listener, proxy.TrustUnixSocket(), proxy.TrustSecret("X-Proxy-Secret", secret))
	l.start(t, "unix:"+path, "")
	token := field{"Authorization", "Bearer " + c.token(c.owner)}
	for _, tt := range []struct {
		name   string
		as     *popauthtest.Client
		fields []field
		want   string
	}{
		{"the owner", c.owner, nil, "200 verified"},
		{"no certificate", nil, nil, "401"},
		{"no certificate, forged headers", nil, l.forged(), "401"},
		{"another certificate, forged headers", c.thief, l.forged(), "401"},
	} {
		if got, _ := l.ask(ways[1], tt.as, append(tt.fields, token)); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	before := l.spy.Ran()
	r, err := exchange1(conn, append(l.forged(), token))
	if got := l.judge(r, err, before); got != "400" {
		t.Errorf("around the proxy: got %s, want 400", got)
	}
}
