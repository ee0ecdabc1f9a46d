package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/forwardauth"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// An optionSet is drawn: names and a secret that mean something in a configuration, and routes with policies of their own.
type optionSet struct {
	secret, secretHeader, cert, verify string
	claims                             map[string]string
	area                               string // whose route is beside that for all the rest
}

func drawOptions(r *rand.Rand, ingress string) optionSet {
	o := optionSet{
		secret: oddSecret(r, ingress), secretHeader: oddName(r) + "-S", cert: oddName(r) + "-C", verify: oddName(r) + "-V",
		claims: map[string]string{
			oddName(r) + "-T": `https://claims.example/"tenant'{$x};#`, "X-Auth-" + oddName(r): "tenant", "T1": "tenant",
		},
		area: "/" + []string{"admin", "a.b~c", "A_d-min", "v1/admin"}[r.IntN(4)],
	}
	return o
}

func oddName(r *rand.Rand) string {
	return fmt.Sprintf("%c%d-%c%c", 'A'+rune(r.IntN(26)), r.IntN(1000), 'A'+rune(r.IntN(26)), 'a'+rune(r.IntN(26)))
}

// oddSecret is of printable characters, with those that mean something in a configuration more often, and without those that an
// error names.
func oddSecret(r *rand.Rand, ingress string) string {
	b := []byte("x")
	for len(b) < 40 {
		c := byte(' ' + r.IntN('~'-' '+1))
		if r.IntN(2) == 0 {
			c = "\\\"'{};#% $`"[r.IntN(11)]
		}
		b = append(b, c)
	}
	text := string(b) + `{{"x"}}%REQ(:path)%${HOME}y`
	switch ingress {
	case "nginx":
		text = strings.ReplaceAll(text, "$", "")
	case "caddy":
		text = strings.NewReplacer("{", "(", "}", ")", []string{`\`, "`"}[r.IntN(2)], "").Replace(text)
	}
	return text
}

func (o optionSet) open(t *testing.T, l lane) *world {
	t.Helper()
	return opened(t, l, func(w *world) {
		w.secret, w.setup.secretHeader, w.setup.claims = o.secret, o.secretHeader, o.claims
		switch l.proxy {
		case "nginx":
			w.setup.certificate = proxy.Nginx(o.cert, o.verify)
		case "caddy":
			w.setup.certificate = proxy.Caddy(o.cert)
		}
		w.setup.routes = func(e *forwardauth.Endpoint) []forwardauth.Route {
			return []forwardauth.Route{
				{Path: "/", Handler: e.Authorize(popauth.Bound(), popauth.Scope("orders.read"))},
				{Path: o.area, Handler: e.Authorize(popauth.Bound(), popauth.Scope("admin"))},
			}
		}
		w.write = written(l.proxy, func(s *forwardauth.Site) { oddFiles(t, w, l.proxy, s) })
	})
}

// oddFiles puts the proxy's files into a directory whose name means something in a configuration.
func oddFiles(t *testing.T, w *world, ingress string, s *forwardauth.Site) {
	t.Helper()
	name := `a b";{{x}}#'\%`
	if ingress == "caddy" {
		name = strings.NewReplacer("{", "(", "}", ")").Replace(name)
	}
	dir := filepath.Join(t.TempDir(), name)
	key, err := x509.MarshalPKCS8PrivateKey(w.server.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	var chain []byte
	for _, der := range w.server.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string][]byte{
		"crt": chain, "key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), "ca": w.authority.PEM(),
	} {
		if err := os.WriteFile(filepath.Join(dir, file), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.Certificate, s.Key = dir+"/crt", dir+"/key"
	if ingress == "nginx" {
		s.Clients = dir + "/ca"
	}
}

// What a Site writes for options of all kinds is run as it is: the owner passes, and the API sees what the token says; thieves don't,
// and no client's header that means something reaches the API, under any spelling.
func TestWrittenSets(t *testing.T) {
	for _, l := range lanes {
		for seed := range uint64(3) {
			t.Run(fmt.Sprint(l.name, " ", seed), func(t *testing.T) {
				t.Parallel()
				o := drawOptions(rand.New(rand.NewPCG(seed, 18)), l.proxy) // the same each time
				w := o.open(t, l)
				token := w.issuer.Token(claims(w.owner.Bound(), popauthtest.Claims{
					"tenant": "acme", `https://claims.example/"tenant'{$x};#`: "odd",
				}))
				for _, separator := range "-_.~!#$%&'*+^|`" {
					w.forgeAll(t, o, string(separator), token)
				}
				w.confuse(t, o, token)
				for _, size := range []int{0, 1 << 10, 1 << 20} {
					// 0 where the end of the connection comes first.
					if got, _ := w.raw(t, w.thief, "POST", "/orders", token, "", size); got != 401 && got != 0 {
						t.Errorf("a thief with %d bytes: got %d, want 401", size, got)
					}
					if got, seen := w.raw(t, w.owner, "POST", "/orders", token, "", size); got != 200 || len(seen) != 1 {
						t.Errorf("the owner with %d bytes: got %d, want 200", size, got)
					}
				}
				if n := w.bodies.Load(); n > 0 {
					t.Errorf("%d questions had a body", n)
				}
			})
		}
	}
}

// forgeAll sends every header that means something, with a separator in place of hyphens.
func (w *world) forgeAll(t *testing.T, o optionSet, separator, token string) {
	t.Helper()
	managed := []string{o.secretHeader, "X-Forwarded-Host", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Prefix",
		"X-Forwarded-Client-Cert", "X-Forwarded-Tls-Client-Cert", "X-Forwarded-Tls-Client-Cert-Info"}
	if w.setup.certificate.Headers()[0] == http.CanonicalHeaderKey(o.cert) {
		managed = append(managed, w.setup.certificate.Headers()...)
	}
	if w.setup.certificate.Name() == "envoy" { // by which it would send the API's request again
		managed = append(managed, "X-Envoy-Max-Retries")
	}
	for name := range overrides("", "") {
		managed = append(managed, name)
	}
	for name := range reported("", "", "") {
		managed = append(managed, name)
	}
	for name := range forged("-") {
		managed = append(managed, name)
	}
	for name := range o.claims {
		managed = append(managed, name)
	}
	var lines strings.Builder
	for _, name := range managed {
		all := strings.ReplaceAll(name, "-", separator)
		for _, spelled := range []string{all, strings.ToLower(all), strings.Replace(name, "-", separator, 1)} {
			fmt.Fprintf(&lines, "%s: evil\r\n", spelled)
		}
	}
	for _, tt := range []struct {
		name, token string
		as          *popauthtest.Client
		want        int
	}{
		{"no token", "", nil, 401}, {"no certificate", token, nil, 401},
		{"a thief", token, w.thief, 401}, {"the owner", token, w.owner, 200},
	} {
		got, seen := w.raw(t, tt.as, "GET", "/orders", tt.token, lines.String(), 0)
		if got != tt.want || len(seen) != map[int]int{200: 1}[tt.want] {
			t.Errorf("%s, with %q: got %d, want %d; the API ran %d times", tt.name, separator, got, tt.want, len(seen))
		}
		for _, h := range seen {
			w.seesOwner(t, o, separator, h, managed)
		}
	}
}

func (w *world) seesOwner(t *testing.T, o optionSet, separator string, h http.Header, managed []string) {
	t.Helper()
	for name, values := range h {
		for _, m := range managed {
			if folded(m) == folded(name) && strings.Contains(strings.Join(values, ","), "evil") {
				t.Errorf("VULNERABLE: with %q the API sees %s: %q", separator, name, values)
			}
		}
		if folded(name) == folded(o.secretHeader) {
			t.Errorf("VULNERABLE: the API sees the secret")
		}
	}
	want := map[string]string{"X-Auth-Issuer": w.issuer.URL, "X-Auth-Subject": "alice", "X-Auth-Binding": "x5t#S256"}
	for header, claim := range o.claims {
		want[header] = map[string]string{"tenant": "acme"}[claim]
		if claim != "tenant" {
			want[header] = "odd"
		}
	}
	for name, value := range want {
		if got := h.Values(name); len(got) != 1 || got[0] != value {
			t.Errorf("with %q the API sees %s: %q, want %q", separator, name, got, value)
		}
	}
}

// ambiguous is what programs take for different paths.
var ambiguous = regexp.MustCompile(`(?i)^foo:http|^/[^?]*(//|/\.\.?(/|;|$)|%2e|%2f|%5c|%3b|%25|%0|;|\\)`)

// confuse asks for the guarded area in all ways that some API takes for it, with a token for the rest.
func (w *world) confuse(t *testing.T, o optionSet, token string) {
	t.Helper()
	a := o.area
	last := a[len(a)-1]
	spelled := a[:len(a)-1] + fmt.Sprintf("%%%02x", last)
	host := "https://" + w.host()
	for _, target := range []string{
		a, a + "/", a + "/x", strings.ToUpper(a), strings.ToLower(a) + "/x", "/" + a, a + "//x", "/." + a, "/x/.." + a, "/x/..%2f" + a[1:],
		"/%2e" + a, "/%2e%2e" + a, spelled, spelled + "/x", strings.ReplaceAll(a, "/", "/%2f"), strings.Replace(a, "/", "/%5c", 1),
		"/;x" + a, a + ";x", a + ";x/y", a + "%3bx", a + "%00", a + "%2fx", a + "%20", a + ".", a + "%252fx", `/x/..\` + a[1:], `\` + a[1:],
		host + a, host + "/" + a, "http://evil.example" + a, "foo:" + a, "foo:http:" + a + "://x/close", a + "?x=/orders", a + "#/orders",
		"/orders/.." + a, "/orders/..;" + a, "//evil.example" + a, a + "/../" + a[1:], a + "\\..\\orders", a + "%09", a + "/%2e%2e/orders",
	} {
		before := w.questions.Load()
		got, seen := w.raw(t, w.owner, "GET", target, token, "", 0)
		// Traefik puts a path in order before it asks.
		refused := (got == 400 || got == 404) && w.questions.Load() == before
		if w.setup.certificate.Name() != "traefik" && ambiguous.MatchString(target) && !refused {
			t.Errorf("%s: got %d, want 400 or 404 before anybody is asked", target, got)
		}
		if got == 200 && len(seen) == 0 {
			t.Errorf("%s: got 200, and the API hasn't run", target)
		}
		for range seen {
			arrived := w.arrived
			decoded, _ := url.PathUnescape(strings.SplitN(strings.SplitN(arrived, "?", 2)[0], ";", 2)[0])
			for strings.Contains(decoded, "//") {
				decoded = strings.ReplaceAll(decoded, "//", "/")
			}
			if strings.HasPrefix(strings.ToLower(decoded)+"/", strings.ToLower(a)+"/") {
				t.Errorf("VULNERABLE: %s reaches the API as %s", target, arrived)
			}
			t.Logf("%s reaches the API as %s", target, arrived)
		}
	}
	admin := w.issuer.Token(claims(w.owner.Bound(), popauthtest.Claims{"scope": "admin"}))
	if got, _ := w.raw(t, w.owner, "GET", a+"/x", admin, "", 0); got != 200 {
		t.Errorf("%s for an administrator: got %d, want 200", a, got)
	}
	if got, _ := w.raw(t, w.owner, "GET", a+"-x", token, "", 0); got != 200 {
		t.Errorf("%s-x: got %d, want 200: the route is for whole segments", a, got)
	}
}

// raw sends a request as it is spelled; 0 for one whose connection ends before the answer.
func (w *world) raw(t *testing.T, as *popauthtest.Client, method, target, token, lines string, size int) (int, []http.Header) {
	t.Helper()
	config := &tls.Config{ServerName: "localhost", RootCAs: w.authority.Pool(), MinVersion: tls.VersionTLS12}
	if as != nil {
		config.Certificates = []tls.Certificate{as.Certificate}
	}
	w.upstream.mu.Lock()
	w.upstream.seen, w.upstream.targets = nil, nil
	w.upstream.mu.Unlock()
	conn, err := tls.Dial("tcp", w.proxy.Address, config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if token != "" {
		lines += "Authorization: Bearer " + token + "\r\n"
	}
	if method == "POST" {
		lines += fmt.Sprintf("Content-Length: %d\r\n", size)
	}
	_, _ = fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\n%sConnection: close, X-Auth-Subject, X-Auth-Issuer, %s, %s\r\n\r\n",
		method, target, w.host(), lines, w.setup.secretHeader, w.setup.certificate.Headers()[0])
	_, _ = conn.Write(bytes.Repeat([]byte("x"), size))
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, nil
	}
	defer answer.Body.Close()
	w.upstream.mu.Lock()
	defer w.upstream.mu.Unlock()
	w.arrived = strings.Join(w.upstream.targets, " ")
	return answer.StatusCode, w.upstream.seen
}
