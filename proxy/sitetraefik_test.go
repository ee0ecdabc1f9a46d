package proxy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/proxy"
)

func traefikSite() proxy.Site {
	s := site()
	s.Format, s.Clients = proxy.Traefik(), ""
	return s
}

func TestSiteTraefikRefuses(t *testing.T) {
	if _, _, err := traefikSite().Traefik("/c/api.yaml"); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		change func(*proxy.Site)
		want   string
	}{
		{"a format of another proxy", func(s *proxy.Site) { *s = site() }, "Traefik doesn't write"},
		{"a format under Traefik's name", func(s *proxy.Site) {
			s.Format = proxy.Custom(proxy.CustomHeaders{Name: "traefik", Certificate: "X-Cert", Encoding: proxy.Base64DER})
			s.Clients = "/c/ca"
		}, "Traefik doesn't write"},
		{"the zero Format", func(s *proxy.Site) { s.Format = proxy.Format{} }, "zero Format"},
		{"a socket", func(s *proxy.Site) { s.API = []string{"a:1", "unix:/api"} }, "no unix socket"},
		{"no address", func(s *proxy.Site) { s.API = nil }, "Site.API"},
		{"an address with a path", func(s *proxy.Site) { s.API = []string{"a:1/b"} }, "Site.API"},
		{"a host", func(s *proxy.Site) { s.Listen = "example.com:443" }, "Site.Listen"},
		{"the secret's header is the certificate's", func(s *proxy.Site) { s.SecretHeader = "x-forwarded-tls-client-cert" }, "another use"},
		{"the secret's header is one that is removed", func(s *proxy.Site) { s.SecretHeader = "X-Forwarded-Tls-Client-Cert-Info" },
			"another use"},
		{"the secret's header is where the request came from", func(s *proxy.Site) { s.SecretHeader = "X-Forwarded-Host" }, "another use"},
		{"a secret of two lines", func(s *proxy.Site) { s.Secret = "0123456789abcdef\nx" }, "printable"},
		{"relative authorities", func(s *proxy.Site) { s.Clients = "ca" }, "Site.Clients"},
		{"a host that ends the rule", func(s *proxy.Site) { s.Hosts = []string{"a.example", "a`) || PathPrefix(`/"} }, "Site.Hosts"},
		{"a host with its port", func(s *proxy.Site) { s.Hosts = []string{"a.example:443"} }, "Site.Hosts"},
		{"no host", func(s *proxy.Site) { s.Hosts = []string{""} }, "Site.Hosts"},
		{"no key", func(s *proxy.Site) { s.Key = "" }, "Site.Key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := traefikSite()
			tt.change(&s)
			static, dynamic, err := s.Traefik("/c/api.yaml")
			if err == nil || !strings.Contains(err.Error(), tt.want) || static+dynamic != "" {
				t.Errorf("got %q, %v, want an error with %q", static+dynamic, err, tt.want)
			}
		})
	}
	for _, file := range []string{"", "api.yaml", "/c/../api.yaml", "/c/api\n.yaml", "/"} {
		if static, dynamic, err := traefikSite().Traefik(file); err == nil || !strings.Contains(err.Error(), "Site.Traefik") ||
			static+dynamic != "" {
			t.Errorf("%q: got %q, %v, want an error with Site.Traefik", file, static+dynamic, err)
		}
	}
}

func TestSiteTraefik(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*proxy.Site)
		want   []string
		not    string
	}{
		{"a port", func(*proxy.Site) {}, []string{
			`address: ":443"`, "aliasHeadersStrategy: delete\n", "allowEncodedSlash: false\n", `filename: "/c/api.yaml"`,
			`"X-Forwarded-Tls-Client-Cert": ""`, `"X-Forwarded-Tls-Client-Cert-Info": ""`, `X-Rewrite-URL: ""`, "pem: true\n",
			`"X-Secret": "0123456789abcdef"`, `- url: "http://127.0.0.1:8080"`, "clientAuthType: RequestClientCert\n",
		}, "caFiles:"},
		{"IPv6", func(s *proxy.Site) { s.Listen, s.API = "[::1]:443", []string{"[::1]:1"} },
			[]string{`address: "[::1]:443"`, `- url: "http://[::1]:1"`}, ""},
		{"two addresses", func(s *proxy.Site) { s.API = []string{"a.example:1", "b.example:2"} },
			[]string{`- url: "http://a.example:1"` + "\n", `- url: "http://b.example:2"` + "\n"}, ""},
		{"hosts", func(s *proxy.Site) { s.Hosts = []string{"a.example", "b-1.example"} },
			[]string{"rule: \"Host(`a.example`) || Host(`b-1.example`)\"\n"}, "PathPrefix"},
		{"any host", func(*proxy.Site) {}, []string{"rule: \"PathPrefix(`/`)\"\n"}, "Host("},
		{"authorities", func(s *proxy.Site) { s.Clients = "/c/a b" },
			[]string{"clientAuthType: VerifyClientCertIfGiven\n", `caFiles: ["/c/a b"]`}, "clientAuthType: RequestClientCert"},
		{"no secret", func(s *proxy.Site) { s.SecretHeader, s.Secret = "", "" }, []string{`"X-Forwarded-Tls-Client-Cert": ""`}, "ecret"},
		{"a name that YAML takes for a value", func(s *proxy.Site) { s.SecretHeader = "Null" }, []string{`"Null": "0123456789abcdef"`}, ""},
		{"an action of a template", func(s *proxy.Site) { s.Secret = `{{env "HOME"}}{{` },
			[]string{`"X-Secret": "\u007b\u007benv \"HOME\"}}\u007b\u007b"`}, "{{"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := traefikSite()
			tt.change(&s)
			static, dynamic, err := s.Traefik("/c/api.yaml")
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range tt.want {
				if !strings.Contains(static+dynamic, want) {
					t.Errorf("no %q in\n%s%s", want, static, dynamic)
				}
			}
			if tt.not != "" && strings.Contains(static+dynamic, tt.not) {
				t.Errorf("%q in\n%s%s", tt.not, static, dynamic)
			}
		})
	}
}

// Whatever the values are, the structure is the same, Traefik reads the values as they are, and finds no action of a template.
func FuzzSiteTraefik(f *testing.F) {
	f.Add(`0123456789abcdef"} }, #'\`, `/a b/{"}`, `/{{.}}`)
	f.Add(`0123456789abcdef\`, `/a\"`, `/\u007b`)
	f.Add(`0123456789abcdef{{.Key}}{{/*`, `/'`, `/{ {`)
	s := traefikSite()
	s.Clients = "/c/ca"
	static, dynamic, err := s.Traefik("/c/api.yaml")
	if err != nil {
		f.Fatal(err)
	}
	want, frame, err := yamlStrings(static + dynamic)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, secret, file, own string) {
		s := s
		s.Secret, s.Certificate, s.Key, s.Clients = secret, file+"1", file+"2", file+"3"
		static, dynamic, err := s.Traefik(own)
		if err != nil {
			return
		}
		expected := slices.Clone(want)
		for i, value := range expected {
			if is, ok := map[string]string{
				"0123456789abcdef": secret, "/c/crt": file + "1", "/c/key": file + "2", "/c/ca": file + "3", "/c/api.yaml": own,
			}[value]; ok {
				expected[i] = is
			}
		}
		got, rest, err := yamlStrings(static + dynamic)
		if err != nil || !slices.Equal(got, expected) || rest != frame {
			t.Errorf("got %q, %v, want %q", got, err, expected)
		}
		if strings.Contains(dynamic, "{{") {
			t.Errorf("an action in\n%s", dynamic)
		}
	})
}

func ExampleSite_Traefik() {
	static, dynamic, err := proxy.Site{
		Format: proxy.Traefik(), SecretHeader: "X-Proxy-Secret", Secret: "0123456789abcdef", // of the environment, in earnest
		Listen: "443", API: []string{"127.0.0.1:8080"}, Certificate: "/etc/ssl/server.crt", Key: "/etc/ssl/server.key",
	}.Traefik("/etc/traefik/api.yaml")
	if err != nil {
		fmt.Println(err)
		return
	}
	// static is what traefik --configFile=… gets, and dynamic belongs into /etc/traefik/api.yaml.
	for line := range strings.Lines(static + dynamic) {
		if strings.Contains(line, "filename:") || strings.Contains(line, "X-Proxy-Secret\":") {
			fmt.Println(strings.TrimSpace(line))
		}
	}
	// Output:
	// filename: "/etc/traefik/api.yaml"
	// "X-Proxy-Secret": "0123456789abcdef"
}
