package revocation

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Where the environment has a proxy, that is asked, and where net/http refuses to tell, nobody is. The environment is read
// once, hence another process.
func TestProxyOfTheEnvironment(t *testing.T) {
	const child = "POPAUTH_TEST_PROXY"
	if want := os.Getenv(child); want != "" {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://192.0.2.1/list", nil)
		if err != nil {
			t.Fatal(err)
		}
		var got string
		if answer, err := newDirect(false).RoundTrip(r); err != nil {
			got = err.Error()
		} else {
			body, _ := io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			got = string(body)
		}
		if !strings.Contains(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		return
	}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "proxied "+r.URL.String())
	}))
	defer proxy.Close()
	for name, tt := range map[string]struct {
		want string
		env  []string
	}{
		"none":           {want: "not public", env: []string{"HTTP_PROXY="}},
		"one":            {want: "proxied http://192.0.2.1/list", env: []string{"HTTP_PROXY=" + proxy.URL}},
		"not for this":   {want: "not public", env: []string{"HTTP_PROXY=" + proxy.URL, "NO_PROXY=192.0.2.1"}},
		"a CGI's header": {want: "CGI", env: []string{"HTTP_PROXY=" + proxy.URL, "REQUEST_METHOD=GET"}},
	} {
		own := exec.Command(os.Args[0], "-test.run=^TestProxyOfTheEnvironment$", "-test.v")
		own.Env = append(append(os.Environ(), "http_proxy=", "no_proxy=", child+"="+tt.want), tt.env...)
		if out, err := own.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestProxyOfTheEnvironment") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
