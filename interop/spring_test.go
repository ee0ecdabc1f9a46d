//go:build unix

package interop_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/counterpart"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// springChecksum is that of all jars, as counterpart.MavenLibraries has it.
const springChecksum = "fad71a9674ef710b875f280704c0a65528be26ea1fe50421a7de6f098b81304a"

// spring is a Spring Authorization Server.
type spring struct {
	*authorizationServer
	libraries string
	port      int
	process   *counterpart.Process

	registered string // where the self-signed client's certificate is, as a JWK
}

func newSpring(tb testing.TB) *spring {
	tb.Helper()
	s := &spring{authorizationServer: newAuthorizationServer(tb), libraries: springLibraries(tb), port: counterpart.Port(tb)}
	// Spring takes a certificate by its name only if its authority's stands beside it.
	s.byDN = s.ca.Intermediate("Clients").Client("by-dn", ofOrders)
	s.registered = serveJWK(tb, s.selfSigned)
	s.issuer = fmt.Sprintf("https://localhost:%d", s.port)
	s.start()
	return s
}

// springLibraries are Spring's jars.
func springLibraries(tb testing.TB) string {
	tb.Helper()
	if os.Getenv("JAVA_HOME") == "" {
		counterpart.Need(tb, "java")
	}
	pom := filepath.Join("testdata", "spring", "pom.xml")
	text, err := os.ReadFile(pom)
	if err != nil {
		tb.Fatal(err)
	}
	return counterpart.Cache(tb, "spring", []string{string(text), springChecksum}, func(dir string) {
		counterpart.Need(tb, "mvn")
		counterpart.MavenLibraries(tb, dir, pom, springChecksum)
	})
}

// TestSpringLibraries gets what TestSpring starts from, so that CI shows how long that takes.
func TestSpringLibraries(t *testing.T) {
	t.Log(springLibraries(t))
}

// startJava starts a server of testdata/spring by TLS on this port, with the test's certificate. Java compiles the one source file as
// it starts.
func startJava(s *authorizationServer, libraries, dir, source string, port int, args ...string) *counterpart.Process {
	s.Helper()
	certificate, key := pems(s, s.certificate)
	selfSigned, _ := pems(s, s.selfSigned.Certificate)
	trusted := string(s.ca.PEM()) + selfSigned
	for name, text := range map[string]string{"server.crt": certificate, "server.key": key, "clients.crt": trusted} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			s.Fatal(err)
		}
	}
	cmd := exec.Command(javaProgram(), append([]string{"-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData",
		"-Djava.io.tmpdir=" + dir, "-cp", filepath.Join(libraries, "*"), filepath.Join("testdata", "spring", source+".java"),
		"--server.address=127.0.0.1", fmt.Sprint("--server.port=", port), "--server.ssl.certificate=" + filepath.Join(dir, "server.crt"),
		"--server.ssl.certificate-private-key=" + filepath.Join(dir, "server.key"),
		"--server.ssl.client-auth=want", "--server.ssl.trust-certificate=" + filepath.Join(dir, "clients.crt")}, args...)...)
	cmd.Env = counterpart.Environment(dir)
	return counterpart.Start(s, cmd)
}

// start starts the server, again where it was, with a new key.
func (s *spring) start() {
	s.Helper()
	if s.process != nil {
		s.process.Stop()
	}
	s.process = startJava(s.authorizationServer, s.libraries, s.TempDir(), "AuthorizationServer", s.port,
		"--test.secret="+clientSecret, "--test.audience="+structured, "--test.self-signed="+s.registered)
	client := &http.Client{Transport: s.transport(nil), Timeout: 10 * time.Second}
	s.process.Await(func() error {
		resp, err := client.Get(s.issuer + "/.well-known/oauth-authorization-server")
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("metadata: %s", resp.Status)
		}
		return nil
	}, 3*time.Minute)
	s.metadata.TokenEndpoint = s.issuer + "/oauth2/token"
	s.metadata.Aliases.TokenEndpoint = s.metadata.TokenEndpoint // one port for all
}

func javaProgram() string {
	if home := os.Getenv("JAVA_HOME"); home != "" {
		return filepath.Join(home, "bin", "java")
	}
	return "java"
}

func (s *spring) obtain() string {
	s.Helper()
	token, err := s.unbound(structured)
	if err != nil {
		s.Fatal(err)
	}
	return token.AccessToken
}

// springOptions take Spring's tokens: their header has no typ.
func springOptions() popauth.Options { return popauth.Options{TokenTypes: []string{""}} }

func TestSpring(t *testing.T) {
	s := newSpring(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *spring)
	}{
		{"Table", testSpringTable},
		{"Popclient", testSpringPopclient},
		{"Java", testSpringJava},
		{"Code", testSpringCode},
		{"Refresh", testSpringRefresh},
		{"RotationAtOnce", testSpringRotationAtOnce},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.TB = t // whose failures are the subtest's
			test.run(t, s)
		})
	}
}

// Spring Boot makes its signing key when it starts, unless it is configured with one.
func testSpringRotationAtOnce(t *testing.T, s *spring) {
	rotation{server: s.authorizationServer, options: springOptions(), token: s.obtain, rotate: s.start}.test(t)
}

// Spring says no-store about its keys, as about everything. How often they are fetched is for Refresh to say.
func testSpringRefresh(t *testing.T, s *spring) {
	for _, test := range []struct {
		refresh     time.Duration
		least, most int64 // fetches in six hours
	}{
		{refresh: 0, least: 6 * 60 * 8 / 10, most: 6 * 60 * 13 / 10},
		{refresh: 2 * time.Hour, least: 3, most: 4},
	} {
		clock := popauthtest.NewClock(time.Now())
		fetches := &countingTransport{base: s.transport(nil), path: "/oauth2/jwks"}
		keys := s.keys(func(o *popauth.RemoteKeysOptions) {
			o.Refresh, o.Now, o.Client = test.refresh, clock.Now, &http.Client{Transport: fetches}
		})
		o := springOptions()
		o.Issuer, o.Audience, o.Keys = s.issuer, []string{structured}, keys
		a := s.api(o)
		token, client := s.obtain(), a.Client()
		for range 6 * 60 * 2 {
			r, err := http.NewRequest(http.MethodGet, a.URL+authenticated, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+token)
			if got := a.get(t, client, r); got != wanted("") {
				t.Fatalf("Refresh %v: got %+v", test.refresh, got)
			}
			fetches.settle()
			clock.Advance(30 * time.Second)
		}
		if got := fetches.n.Load(); got < test.least || got > test.most {
			t.Errorf("Refresh %v: got %d fetches in six hours, want %d to %d", test.refresh, got, test.least, test.most)
		}
		if said := fetches.said.Load(); said == nil || !strings.Contains(*said, "no-store") {
			t.Errorf("got keys without no-store: %v", said)
		}
	}
}

// countingTransport counts the requests for a path.
type countingTransport struct {
	base    http.RoundTripper
	path    string
	n, open atomic.Int64
	said    atomic.Pointer[string] // Cache-Control
}

func (c *countingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	c.open.Add(1)
	defer c.open.Add(-1)
	resp, err := c.base.RoundTrip(r)
	if err == nil && r.URL.Path == c.path {
		c.n.Add(1)
		said := resp.Header.Get("Cache-Control")
		c.said.Store(&said)
	}
	return resp, err
}

// settle waits a moment for requests that have begun.
func (c *countingTransport) settle() {
	for time.Sleep(time.Millisecond); c.open.Load() > 0; time.Sleep(time.Millisecond) {
	}
}
