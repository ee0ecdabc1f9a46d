package proxy_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/proxy"
)

func envoySite() proxy.Site {
	s := site()
	s.Format, s.Clients = proxy.Envoy(), ""
	return s
}

func TestSiteEnvoyRefuses(t *testing.T) {
	if _, err := envoySite().Envoy(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		change func(*proxy.Site)
		want   string
	}{
		{"a format of another proxy", func(s *proxy.Site) { *s = site() }, "Envoy doesn't write"},
		{"authorities, of whom it reports nothing", func(s *proxy.Site) { s.Clients = "/c/ca" }, "leave it empty"},
		{"a socket and a name", func(s *proxy.Site) { s.API = []string{"unix:/api", "api.example:80"} }, "give an IP address"},
		{"the secret under the certificate's name", func(s *proxy.Site) { s.SecretHeader = "x-forwarded-client-cert" }, "another use"},
		{"the secret under a name that is removed", func(s *proxy.Site) { s.SecretHeader = "X-HTTP-Method" }, "another use"},
		{"a relative path", func(s *proxy.Site) { s.Key = "key" }, "Site.Key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := envoySite()
			tt.change(&s)
			if text, err := s.Envoy(); err == nil || !strings.Contains(err.Error(), tt.want) || text != "" {
				t.Errorf("got %q, %v, want an error with %q", text, err, tt.want)
			}
		})
	}
}

func TestSiteEnvoy(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*proxy.Site)
		want   []string
		not    string
	}{
		{"a port", func(*proxy.Site) {}, []string{`address: "0.0.0.0", port_value: 443`, "type: STATIC"}, ""},
		{"IPv6", func(s *proxy.Site) { s.Listen = "[::1]:443" }, []string{`address: "::1", port_value: 443`}, ""},
		{"a socket", func(s *proxy.Site) { s.API = []string{"unix:/a"} }, []string{`pipe: { path: "/a" }`, "type: STATIC"}, ""},
		{"two names", func(s *proxy.Site) { s.API = []string{"a.example:1", "b.example:2"} },
			[]string{`address: "a.example", port_value: 1`, `address: "b.example", port_value: 2`, "type: STRICT_DNS"}, ""},
		{"no secret", func(s *proxy.Site) { s.SecretHeader, s.Secret = "", "" }, []string{"SANITIZE_SET"}, "request_headers_to_add:"},
		{"commands", func(s *proxy.Site) { s.Secret = "%REQ(:path)% 100%" }, []string{`value: "%%REQ(:path)%% 100%%"`}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := envoySite()
			tt.change(&s)
			text, err := s.Envoy()
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range tt.want {
				if !strings.Contains(text, want) {
					t.Errorf("no %q in\n%s", want, text)
				}
			}
			if tt.not != "" && strings.Contains(text, tt.not) {
				t.Errorf("%q in\n%s", tt.not, text)
			}
		})
	}
}

// The patterns match each name that some program takes for one that the proxy sets or removes, but the one that it has set by then.
func TestSiteEnvoyPatterns(t *testing.T) {
	text, err := envoySite().Envoy()
	if err != nil {
		t.Fatal(err)
	}
	var patterns []*regexp.Regexp
	for _, m := range regexp.MustCompile(`safe_regex: \{ regex: "(.*)" \}`).FindAllStringSubmatch(text, -1) {
		patterns = append(patterns, regexp.MustCompile("^(?:"+m[1]+")$")) // Envoy matches the whole name
	}
	removed := func(name string) bool {
		return slices.ContainsFunc(patterns, func(p *regexp.Regexp) bool { return p.MatchString(name) })
	}
	for _, name := range []string{"x-forwarded-client-cert", "X-Forwarded-Client-Cert", "x-request-id", "x-http-methods", "xxhttp-method"} {
		if removed(name) {
			t.Errorf("%s is removed", name)
		}
	}
	const separators = "-!#$%&'*+.^_`|~"
	for _, words := range [][]string{
		{"x", "Forwarded", "client", "cert"}, {"X", "HTTP", "Method", "Override"}, {"x", "http", "method"}, {"x", "method", "override"},
		{"x", "original", "url"}, {"x", "rewrite", "URL"}, {"x", "secret"},
	} {
		names := []string{words[0]}
		for _, word := range words[1:] {
			var longer []string
			for _, name := range names {
				for _, c := range separators {
					longer = append(longer, name+string(c)+word)
				}
			}
			names = longer
		}
		for _, name := range names {
			if want := !strings.EqualFold(name, "x-forwarded-client-cert"); removed(name) != want {
				t.Errorf("%s is removed: got %t, want %t", name, !want, want)
			}
		}
	}
}

// yamlStrings reads the strings in double quotes, as JSON has them, and returns the rest apart.
func yamlStrings(text string) (values []string, rest string, err error) {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		for line != "" {
			before, after, ok := strings.Cut(line, `"`)
			b.WriteString(before)
			if !ok {
				break
			}
			d := json.NewDecoder(strings.NewReader(`"` + after))
			var value string
			if err := d.Decode(&value); err != nil {
				return nil, "", err
			}
			values, line = append(values, value), after[d.InputOffset()-1:]
			b.WriteString("…")
		}
	}
	return values, b.String(), nil
}

// Whatever the values are, the structure is the same, and Envoy reads the values as they are.
func FuzzSiteEnvoy(f *testing.F) {
	f.Add(`0123456789abcdef"} }, #'\`, `/a b/{"}`)
	f.Add(`0123456789abcdef\`, `/a\"`)
	f.Add(`0123456789abcdef{{.Key}}%REQ(x)%`, `/'`)
	plain, err := envoySite().Envoy()
	if err != nil {
		f.Fatal(err)
	}
	want, frame, err := yamlStrings(plain)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, secret, file string) {
		s := envoySite()
		s.Secret, s.Key = secret, file
		text, err := s.Envoy()
		if err != nil {
			return
		}
		expected := slices.Clone(want)
		for i, value := range expected {
			switch value {
			case "0123456789abcdef":
				expected[i] = strings.ReplaceAll(secret, "%", "%%")
			case "/c/key":
				expected[i] = file
			}
		}
		got, rest, err := yamlStrings(text)
		if err != nil || !slices.Equal(got, expected) || rest != frame {
			t.Errorf("got %q, %v, want %q", got, err, expected)
		}
	})
}

func ExampleSite_Envoy() {
	text, err := proxy.Site{
		Format: proxy.Envoy(), SecretHeader: "X-Proxy-Secret", Secret: "0123456789abcdef", Listen: "443", API: []string{"127.0.0.1:8080"},
		Certificate: "/etc/ssl/server.crt", Key: "/etc/ssl/server.key",
	}.Envoy()
	if err != nil {
		fmt.Println(err)
		return
	}
	for line := range strings.Lines(text) {
		if strings.Contains(line, "forward_client_cert_details:") || strings.Contains(line, `"X-Proxy-Secret", value`) {
			fmt.Println(strings.TrimSpace(line))
		}
	}
	// Output:
	// forward_client_cert_details: SANITIZE_SET
	// - header: { key: "X-Proxy-Secret", value: "0123456789abcdef" }
}
