package proxies_test

import (
	"os"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/proxy"
)

// Both files are what a Site writes.
func TestTraefikFilesAreWritten(t *testing.T) {
	static, dynamic, err := proxy.Site{
		Format: proxy.Traefik(), SecretHeader: "X-Proxy-Secret", Secret: "<the proxy's secret>", Listen: "192.0.2.1:65535",
		API: []string{"api.invalid:1"}, Certificate: "/certs/server.crt", Key: "/certs/server.key",
	}.Traefik("/conf/traefik.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const or = "# Or have proxy.Site write both, with your values.\n#\n"
	for _, tt := range []struct {
		file, text string
		vars       []string
	}{
		{
			file: "traefik-static.yaml", vars: []string{"192.0.2.1:65535", "${LISTEN}", "/conf/", "${CONF}/"},
			text: "# Replace the two ${…}, by hand or: envsubst '$LISTEN $CONF' <traefik-static.yaml\n" + or + static,
		},
		{
			file: "traefik.yaml", vars: []string{"api.invalid:1", "${API}", "/certs/", "${CERTS}/", "<the proxy's secret>", "${PROXY_SECRET}"},
			text: "# Replace the three ${…}, by hand or: envsubst '$API $CERTS $PROXY_SECRET' <traefik.yaml\n" + or + dynamic,
		},
	} {
		text := strings.NewReplacer(tt.vars...).Replace(tt.text)
		shipped, err := os.ReadFile(tt.file)
		if err != nil {
			t.Fatal(err)
		}
		if text == string(shipped) {
			continue
		}
		if *update {
			if err := os.WriteFile(tt.file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		t.Errorf("%s is something else; after a change that is meant: go test ./examples/proxies -run Written -update", tt.file)
	}
}
