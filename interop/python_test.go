//go:build unix

package interop_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/counterpart"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/popclient"
)

// Authlib signs the tokens of RFC 9068, with the keys and claims of the program around it, and binds none: whatever the
// client sends along, Confirm refuses its tokens, signed or opaque.
func TestAuthlib(t *testing.T) {
	s := newPython(t, "authlib_server.py", "/.well-known/oauth-authorization-server")
	sc := newScene(s.authorizationServer)
	jwts := s.api(popauth.Options{
		Issuer: s.issuer, Audience: []string{structured}, TokenTypes: []string{"at+jwt"},
		Keys: s.keys(func(o *popauth.RemoteKeysOptions) { o.AllowLoopbackHTTP = true }),
	})
	asking := s.api(popauth.Options{Verifier: s.introspection(introspection.Options{Issuer: s.issuer, Audience: []string{opaque}})})
	askingAboutJWTs := s.api(popauth.Options{Verifier: s.introspection(introspection.Options{
		Issuer: s.issuer, Audience: []string{structured},
	})})
	jwt, asked := s.obtain(nil, structured), s.obtain(nil, opaque)
	t.Logf("\n%s", sc.hold(t, append(s.neverBound(sc, "JWT", jwts, structured),
		append(s.neverBound(sc, "opaque", asking, opaque),
			kind{"JWT, asked", "bearer", "", jwt, askingAboutJWTs, authenticated, ""},
			kind{"JWT", "other API", "", s.obtain(nil, opaque+"/other"), asking, authenticated, popauth.ErrTokenAudience},
			kind{"opaque", "no JWT", "", asked, jwts, authenticated, popauth.ErrTokenMalformed},
			kind{"made up", "", "", strings.Repeat("0", len(asked)), asking, authenticated, popauth.ErrTokenInvalid},
		)...)))
}

// The tokens of django-oauth-toolkit are opaque. Its issuer is the path that the program gives it, with the metadata below. Its
// answers have an audience only if the client has named a resource (RFC 8707), and neither an issuer nor a subject. It binds none.
func TestDjangoOAuthToolkit(t *testing.T) {
	s := newPython(t, "toolkit_server.py", "/o/introspect/")
	sc := newScene(s.authorizationServer)
	options := func(missing bool) introspection.Options {
		return introspection.Options{
			Issuer: s.issuer + "/o", Audience: []string{opaque}, AllowMissingAudience: missing,
		}
	}
	strict, lax := s.api(popauth.Options{Verifier: s.introspection(options(false))}),
		s.api(popauth.Options{Verifier: s.introspection(options(true))})
	unnamed, other := s.obtain(nil, ""), s.obtain(nil, structured)
	t.Logf("\n%s", sc.hold(t, append(s.neverBound(sc, "opaque", strict, opaque),
		kind{"opaque", "no aud", "", unnamed, strict, authenticated, popauth.ErrTokenAudience},
		kind{"opaque", "allowed", "", unnamed, lax, authenticated, ""},
		kind{"opaque", "other API", "", other, strict, authenticated, popauth.ErrTokenAudience},
		kind{"opaque", "other API", "", other, lax, authenticated, popauth.ErrTokenAudience},
		kind{"made up", "", "", strings.Repeat("0", len(unnamed)), lax, authenticated, popauth.ErrTokenInvalid},
	)))
}

// python is an authorization server of testdata/python, by http.
type python struct {
	*authorizationServer
	tokens string // its token endpoint
}

// newPython starts one, which answers at path when it is ready.
func newPython(t *testing.T, script, path string) *python {
	t.Helper()
	libraries := pythonLibraries(t)
	script, err := filepath.Abs(filepath.Join("testdata", "python", script))
	if err != nil {
		t.Fatal(err)
	}
	s := &python{authorizationServer: newAuthorizationServer(t)}
	dir, port := t.TempDir(), counterpart.Port(t)
	s.issuer = fmt.Sprintf("http://127.0.0.1:%d", port)
	s.tokens = s.issuer + "/token"
	if strings.HasPrefix(path, "/o/") {
		s.tokens = s.issuer + "/o/token/"
	}
	cmd := exec.Command("python3", "-B", script)
	cmd.Dir = dir
	cmd.Env = counterpart.Environment(dir, "PYTHONPATH="+libraries, fmt.Sprint("PORT=", port), "OPAQUE="+opaque, "SECRET="+clientSecret)
	counterpart.Start(t, cmd).Await(func() error {
		resp, err := http.Get(s.issuer + path)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode >= http.StatusInternalServerError || resp.StatusCode == http.StatusNotFound {
			return errors.New(resp.Status)
		}
		return nil
	}, time.Minute)
	return s
}

// pythonLibraries returns the directory in the cache that has what requirements.txt names, which pip checks.
func pythonLibraries(tb testing.TB) string {
	tb.Helper()
	if runtime.GOOS != "linux" {
		counterpart.Missing(tb, errors.New("testdata/python/requirements.txt has wheels for Linux, and this is "+runtime.GOOS))
	}
	counterpart.Need(tb, "python3")
	version, err := exec.Command("python3", "--version").Output()
	if err != nil {
		tb.Fatal(err)
	}
	const file = "testdata/python/requirements.txt"
	requirements, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	return counterpart.Cache(tb, "python", []string{string(version), runtime.GOARCH, string(requirements)}, func(dir string) {
		out, err := exec.Command("python3", "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:",
			"--no-cache-dir", "--retries", "2", "--target", dir, "--requirement", file).CombinedOutput()
		switch {
		case strings.Contains(string(out), "DO NOT MATCH THE HASHES"):
			tb.Fatalf("%s: %v\n%s", file, err, out)
		case err != nil:
			counterpart.Missing(tb, fmt.Errorf("pip (Debian's python3-pip) can't get %s: %w\n%s", file, err, out))
		}
	})
}

func (s *python) introspection(o introspection.Options) *introspection.Verifier {
	s.Helper()
	o.Authentication, o.AllowLoopbackHTTP = introspection.ClientSecretBasic{ID: "api-by-secret", Secret: clientSecret}, true
	v, err := introspection.New(o)
	if err != nil {
		s.Fatal(err)
	}
	return v
}

// obtain is a token for the client unbound, for this resource if there is one.
func (s *python) obtain(transport http.RoundTripper, resource string) string {
	s.Helper()
	if transport == nil {
		transport = s.transport(nil)
	}
	token, err := s.token(transport, clientcredentials.Config{
		ClientID: "unbound", ClientSecret: "secret", TokenURL: s.tokens, AuthStyle: oauth2.AuthStyleInHeader,
	}, resource)
	if err != nil {
		s.Fatal(err)
	}
	if token.TokenType != "Bearer" {
		s.Errorf("got a token of type %q, want Bearer, since nothing was bound", token.TokenType)
	}
	return token.AccessToken
}

// neverBound are columns: one token, and one that a proof was sent for.
func (s *python) neverBound(sc *scene, form string, a *api, resource string) []kind {
	s.Helper()
	plain, proven := s.obtain(nil, resource), s.obtain(&popclient.Proofs{Key: sc.key, Base: s.transport(nil)}, resource)
	return []kind{
		{form, "bearer", "", plain, a, authenticated, ""},
		{form, "unbound", "", plain, a, confirmed, ""},
		{form, "proven", "", proven, a, confirmed, ""},
	}
}
