//go:build unix

package interop_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/seed-171ab058/popauth/internal/counterpart"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

// nimbusChecksum is that of all jars, as counterpart.MavenLibraries has it.
const nimbusChecksum = "04926b3b6b152fd35b7d0828763d7d5363884ef0a0c59d2f00ac20f7c11ebba7"

// nimbusRequest is what Nimbus is asked about: a request as the server has seen it, the binding of its token, and the nonce that it
// was asked for.
type nimbusRequest struct {
	what                                  string
	method, url, proof, token, jkt, nonce string

	want string // what Nimbus says, "ok" if it accepts
}

// nimbus asks Nimbus about each of these in turn.
func nimbus(t *testing.T, requests []nimbusRequest) {
	t.Helper()
	if os.Getenv("JAVA_HOME") == "" {
		counterpart.Need(t, "java")
	}
	dir := filepath.Join("testdata", "nimbus")
	text, err := os.ReadFile(filepath.Join(dir, "pom.xml"))
	if err != nil {
		t.Fatal(err)
	}
	libraries := counterpart.Cache(t, "nimbus", []string{string(text), nimbusChecksum}, func(to string) {
		counterpart.Need(t, "mvn")
		counterpart.MavenLibraries(t, to, filepath.Join(dir, "pom.xml"), nimbusChecksum)
	})
	var in strings.Builder
	for _, r := range requests {
		in.WriteString(strings.Join([]string{r.method, r.url, r.proof, r.token, r.jkt, r.nonce}, "\t") + "\n")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, javaProgram(), "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", filepath.Join(libraries, "*"),
		filepath.Join(dir, "ProofVerifier.java"))
	cmd.Env, cmd.WaitDelay, cmd.Stdin = counterpart.Environment(t.TempDir()), 10*time.Second, strings.NewReader(in.String())
	var failure strings.Builder
	cmd.Stderr = &failure
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &failure)
	}
	answers := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(answers) != len(requests) {
		t.Fatalf("got %d answers, want %d:\n%s", len(answers), len(requests), out)
	}
	for i, r := range requests {
		if !strings.HasPrefix(answers[i], r.want) {
			t.Errorf("%s: %s %s: Nimbus says %q, want %q", r.what, r.method, r.url, answers[i], r.want)
		}
	}
}

// recorder is an API for any host, which keeps what it was sent. It asks for the nonce, if there is one.
type recorder struct {
	t     *testing.T
	base  http.RoundTripper
	nonce string
	last  nimbusRequest
	uri   string // of the last request, with its port
}

func newRecorder(t *testing.T, h2 bool) *recorder {
	t.Helper()
	a := &recorder{t: t}
	ca := popauthtest.NewCA(t)
	server := popauthtest.NewServer(t, a, func(c *tls.Config) { c.Certificates = []tls.Certificate{ca.Server()} })
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"}, ForceAttemptHTTP2: h2,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	a.base = transport
	return a
}

func (a *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.uri = "https://" + r.Host + r.RequestURI
	a.last = nimbusRequest{
		// As a servlet puts it together: without the scheme's own port.
		method: r.Method, url: "https://" + strings.TrimSuffix(r.Host, ":443") + r.RequestURI,
		proof: r.Header.Get("DPoP"), token: strings.TrimPrefix(r.Header.Get("Authorization"), "DPoP "), nonce: a.nonce, want: "ok",
	}
	if a.nonce != "" {
		w.Header().Set("DPoP-Nonce", a.nonce)
		if !strings.Contains(a.seen(), `"nonce":"`+a.nonce+`"`) {
			if a.last.token == "" { // a token endpoint (RFC 9449, section 8)
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusBadRequest)
				_, _ = w.Write([]byte(`{"error":"use_dpop_nonce"}`))
				return
			}
			w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
}

// seen are the claims of the last proof.
func (a *recorder) seen() string {
	parts := strings.Split(a.last.proof, ".")
	if len(parts) != 3 {
		return ""
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	return string(claims)
}

// send has popclient send a request, and is what came.
func (a *recorder) send(key *popclient.Key, method, url string) nimbusRequest {
	a.t.Helper()
	return a.sendBy(key, &popclient.DPoP{
		Key: key, Source: oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "an-access-token", TokenType: "DPoP"}), Base: a.base,
	}, method, url)
}

// sendBy sends a request by this transport.
func (a *recorder) sendBy(key *popclient.Key, transport http.RoundTripper, method, url string) nimbusRequest {
	a.t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		a.t.Fatalf("%s %s: %v", method, url, err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		a.t.Fatalf("%s %s: got %s", method, url, resp.Status)
	}
	path, _, _ := strings.Cut(a.uri, "?")
	if want := `"htu":"` + path + `"`; !strings.Contains(strings.ReplaceAll(a.seen(), `\u0026`, "&"), want) {
		a.t.Errorf("%s %s: got the claims %s, want %s", method, url, a.seen(), want)
	}
	a.last.jkt = key.Thumbprint()
	return a.last
}

// nimbusURLs are URLs in spellings that some library might read, or write, in another way.
var nimbusURLs = []string{
	"https://api.example.com", "https://api.example.com/", "https://api.example.com/orders", "https://api.example.com/orders/",
	"https://api.example.com/orders?a=1&b=%20", "https://api.example.com/orders?", "https://api.example.com/orders#part",
	"https://api.example.com/a%20b", "https://api.example.com/a b", "https://api.example.com/~user", "https://api.example.com/a;v=1/b",
	"https://api.example.com/a+b", "https://api.example.com/a:b@c", "https://api.example.com/a'(b)!*",
	"https://api.example.com/a,b$&=", "https://api.example.com/a%25b", "https://api.example.com/a|b",
	"https://api.example.com:8443/orders", "https://127.0.0.1:8443/orders", "https://[::1]:8443/orders",
}

// nimbusRefuses are URLs whose proofs Nimbus refuses: it decodes the path of the request before it compares, and encodes anew only what
// java.net.URI must. Of the last one a servlet leaves the port out, and popclient doesn't, since Go sends it.
var nimbusRefuses = []string{
	"https://api.example.com/a%2Fb", "https://api.example.com/a%2fb", "https://api.example.com/%7Euser", "https://api.example.com/%C3%A4",
	"https://api.example.com/ä", "https://api.example.com/%61", "https://api.example.com/a%2Bb", "https://api.example.com:443/orders",
}

const nimbusOtherURL = "InvalidDPoPProofException: Invalid DPoP proof: JWT htu claim value rejected"

// Nimbus accepts popclient's proofs, but for some spellings of the URL, and none for another request, token or key. Those whose URL it
// refuses are for the URL that the server has seen, to the letter.
func TestNimbusVerifier(t *testing.T) {
	key := proofKey(t, newKey(t))
	var all []nimbusRequest
	for _, h2 := range []bool{false, true} {
		a := newRecorder(t, h2)
		for _, url := range nimbusURLs {
			all = append(all, a.send(key, http.MethodGet, url))
		}
		for _, url := range nimbusRefuses {
			r := a.send(key, http.MethodGet, url)
			r.what, r.want = "spelt in another way", nimbusOtherURL
			all = append(all, r)
		}
		for _, method := range []string{"HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"} {
			all = append(all, a.send(key, method, "https://api.example.com/orders"))
		}
	}
	a := newRecorder(t, true)
	for _, alg := range []string{"ES256", "ES384", "RS256", "PS256"} {
		other, err := popclient.GenerateKey(alg)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, a.send(other, http.MethodGet, "https://api.example.com/"+alg))
	}
	nonces := newRecorder(t, true)
	nonces.nonce = "a-nonce"
	all = append(all, nonces.send(key, http.MethodGet, "https://api.example.com/nonce"))
	for _, endpoint := range []*recorder{a, nonces} {
		proofs := &popclient.Proofs{Key: key, Base: endpoint.base}
		all = append(all, endpoint.sendBy(key, proofs, http.MethodPost, "https://id.example.com/token"))
	}
	nimbus(t, append(all, nimbusThieves(t, a, nonces, key)...))
}

// nimbusThieves are requests with a proof that was caught, each with one thing changed.
func nimbusThieves(t *testing.T, a, nonces *recorder, key *popclient.Key) (all []nimbusRequest) {
	t.Helper()
	for _, thief := range []struct {
		what, want string
		change     func(*nimbusRequest)
	}{
		{"another method", "InvalidDPoPProofException", func(r *nimbusRequest) { r.method = "POST" }},
		{"another path", nimbusOtherURL, func(r *nimbusRequest) { r.url += "/1" }},
		{"another host", nimbusOtherURL, func(r *nimbusRequest) { r.url = "https://evil.example.com/orders" }},
		{"another token", "AccessTokenValidationException", func(r *nimbusRequest) { r.token = "another-access-token" }},
		{"another key's token", "AccessTokenValidationException", func(r *nimbusRequest) { r.jkt = proofKey(t, newKey(t)).Thumbprint() }},
		{"another signature", "InvalidDPoPProofException", func(r *nimbusRequest) {
			r.proof = r.proof[:strings.LastIndex(r.proof, ".")] + a.last.proof[strings.LastIndex(a.last.proof, "."):]
		}},
		{"a nonce not there", "InvalidDPoPNonceException", func(r *nimbusRequest) { r.nonce = "a-nonce" }},
	} {
		r := a.send(key, http.MethodGet, "https://api.example.com/orders")
		a.send(key, http.MethodGet, "https://api.example.com/orders") // whose signature it isn't
		thief.change(&r)
		r.what, r.want = thief.what, thief.want
		all = append(all, r)
	}
	used := a.send(key, http.MethodGet, "https://api.example.com/orders")
	again := used
	again.what, again.want = "used", "InvalidDPoPProofException"
	byOther := a.sendBy(key, &popclient.Proofs{Key: proofKey(t, newKey(t)), Base: a.base}, http.MethodPost, "https://id.example.com/token")
	byOther.what, byOther.want = "another key, for a token", "another key"
	elsewhere := a.sendBy(key, &popclient.Proofs{Key: key, Base: a.base}, http.MethodPost, "https://id.example.com/token")
	elsewhere.what, elsewhere.url, elsewhere.want = "another token endpoint", "https://id.example.net/token", nimbusOtherURL
	stale := nonces.send(key, http.MethodGet, "https://api.example.com/orders")
	stale.what, stale.nonce, stale.want = "another nonce", "the-next-nonce", "InvalidDPoPNonceException"
	return append(all, used, again, byOther, elsewhere, stale)
}
