package discovery_test

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/internal/discovery"
)

// A request that a proxy of the environment is for goes there, and so does one of which net/http refuses to tell: it fails
// there. The environment is read once, hence another process.
func TestToProxy(t *testing.T) {
	const child = "POPAUTH_TEST_TO_PROXY"
	if want := os.Getenv(child); want != "" {
		if got := strconv.FormatBool(discovery.ToProxy(get(t, "http://id.example.com/"))); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		return
	}
	for name, tt := range map[string]struct{ want, env string }{
		"none":           {want: "false", env: "HTTP_PROXY="},
		"one":            {want: "true", env: "HTTP_PROXY=http://127.0.0.1:1"},
		"not for this":   {want: "false", env: "HTTP_PROXY=http://127.0.0.1:1 NO_PROXY=example.com"},
		"a CGI's header": {want: "true", env: "HTTP_PROXY=http://127.0.0.1:1 REQUEST_METHOD=GET"},
	} {
		own := exec.Command(os.Args[0], "-test.run=^TestToProxy$", "-test.v")
		own.Env = append(append(os.Environ(), "http_proxy=", "no_proxy=", child+"="+tt.want), strings.Fields(tt.env)...)
		if out, err := own.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestToProxy") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
