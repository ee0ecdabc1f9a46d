package forwardauth

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"text/template"

	"github.com/seed-171ab058/popauth/internal/proxyfile"
)

func TestOtherThan(t *testing.T) {
	p := regexp.MustCompile(otherThan("websocket"))
	for text, want := range map[string]bool{
		"websocket": false, "WebSocket": false, "": true, "h2c": true, "websocket2": true, "websocke": true, "websockex": true,
		"xebsocket": true, "websocket, h2c": true, "websocket,x": true,
	} {
		if got := p.MatchString(text); got != want {
			t.Errorf("%q: got %t, want %t", text, got, want)
		}
	}
}

// Traefik takes the file for a template first, and for YAML then: both leave a value as it is.
func FuzzTraefikQuoted(f *testing.F) {
	f.Add(`{{ env "HOME" }}`)
	f.Add(`"} {{/* \x7B {{"`)
	f.Add(`{{{`)
	f.Fuzz(func(t *testing.T, text string) {
		if !proxyfile.IsPrintable(text) {
			return
		}
		parsed, err := template.New("").Parse(traefikQuoted(text))
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := parsed.Execute(&b, nil); err != nil {
			t.Fatal(err)
		}
		// JSON's strings are YAML's, but for \x7B.
		var got string
		if err := json.Unmarshal([]byte(strings.ReplaceAll(b.String(), `\x7B`, `\u007b`)), &got); err != nil {
			if strings.Contains(text, `\x7B`) {
				return
			}
			t.Fatalf("%s: %v", b.String(), err)
		}
		if got != text && !strings.Contains(text, `\x7B`) {
			t.Errorf("got %q, want %q", got, text)
		}
	})
}
