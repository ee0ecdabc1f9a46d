package proxycheck

import (
	"strings"
	"testing"
)

// Whatever is read as nginx's is the same directives when it is written in words again.
func FuzzNginx(f *testing.F) {
	for _, s := range []string{
		"server { listen 443 ssl; location / { proxy_pass http://a; } }", "a \"b c\" 'd;{}' ${e} f\\;g; # h\n", "include x;", "a{b{c{d;}}}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		read := func(text string) ([]*directive, error) {
			n := &nginxReader{files: nginxFiles{order: []string{"x"}, texts: map[string]string{"x": text}}}
			return n.read("x", nil, 0)
		}
		first, err := read(text)
		if err != nil {
			return
		}
		_, _ = Nginx("x", text, Expect{Certificate: "X-A", Verdict: "X-B", Others: []string{"X-C"}, Secret: "X-D"})
		second, err := read(written(first))
		if err != nil || written(second) != written(first) {
			t.Errorf("%q: read as %q, and then as %q, %v", text, written(first), written(second), err)
		}
	})
}

// written quotes every word.
func written(list []*directive) string {
	var b strings.Builder
	for _, d := range list {
		for _, w := range append([]string{d.name}, d.args...) {
			b.WriteString(`"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(w) + `" `)
		}
		if d.block == nil {
			b.WriteString(";")
			continue
		}
		b.WriteString("{" + written(d.block) + "}")
	}
	return b.String()
}
