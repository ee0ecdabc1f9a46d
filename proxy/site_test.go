package proxy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/proxy"
)

func ExampleSite() {
	site := proxy.Site{
		Format:       proxy.Nginx("X-SSL-Client-Cert", "X-SSL-Client-Verify"),
		SecretHeader: "X-Proxy-Secret", Secret: "0123456789abcdef", // of the environment, in earnest
		Listen: "443", API: []string{"127.0.0.1:8080"},
		Certificate: "/etc/ssl/server.crt", Key: "/etc/ssl/server.key", Clients: "/etc/ssl/clients-ca.crt",
	}
	text, err := site.Nginx()
	if err != nil {
		fmt.Println(err)
		return
	}
	for line := range strings.Lines(text) {
		if strings.Contains(line, "proxy_set_header X-Ssl") || strings.Contains(line, "proxy_set_header X-Proxy") {
			fmt.Print(strings.TrimSpace(line), "\n")
		}
	}
	// Output:
	// proxy_set_header X-Ssl-Client-Cert $ssl_client_escaped_cert;
	// proxy_set_header X-Ssl-Client-Verify $ssl_client_verify;
	// proxy_set_header X-Proxy-Secret "0123456789abcdef";
}

func site() proxy.Site {
	return proxy.Site{
		Format: proxy.Nginx("X-Cert", "X-Verify"), SecretHeader: "X-Secret", Secret: "0123456789abcdef", Listen: "443",
		API: []string{"127.0.0.1:8080"}, Certificate: "/c/crt", Key: "/c/key", Clients: "/c/ca",
	}
}

func TestSiteRefuses(t *testing.T) {
	if _, err := site().Nginx(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		change func(*proxy.Site)
		want   string
	}{
		{"hosts, which nginx doesn't compare", func(s *proxy.Site) { s.Hosts = []string{"a.example"} }, "Site.Hosts"},
		{"the zero Format", func(s *proxy.Site) { s.Format = proxy.Format{} }, "zero Format"},
		{"a format of another proxy", func(s *proxy.Site) { s.Format = proxy.Apache("X-Cert", "X-Verify") }, "nginx doesn't write"},
		{"a format under nginx's name", func(s *proxy.Site) {
			s.Format = proxy.Custom(proxy.CustomHeaders{Name: "nginx", Certificate: "X-Cert", Encoding: proxy.Base64DER})
		}, "nginx doesn't write"},
		{"a name that ends the directive", func(s *proxy.Site) { s.Format = proxy.Nginx("X-Cert;", "X-Verify") }, "invalid name"},
		{"a name with another use", func(s *proxy.Site) { s.Format = proxy.Nginx("Connection", "X-Verify") }, "another use"},
		{"a name that is removed", func(s *proxy.Site) { s.Format = proxy.Nginx("X-Rewrite-URL", "X-Verify") }, "another use"},
		{"the secret's header is the certificate's", func(s *proxy.Site) { s.SecretHeader = "x-cert" }, "another use"},
		{"a secret without a header", func(s *proxy.Site) { s.SecretHeader = "" }, "belong together"},
		{"a header without a secret", func(s *proxy.Site) { s.Secret = "" }, "belong together"},
		{"a header that TrustSecret refuses", func(s *proxy.Site) { s.SecretHeader = "X_Secret" }, "TrustSecret"},
		{"a comment as the header", func(s *proxy.Site) { s.SecretHeader = "#secret" }, "a letter first"},
		{"a variable as the header", func(s *proxy.Site) { s.SecretHeader = "$host" }, "a letter first"},
		{"an alias as the header", func(s *proxy.Site) { s.SecretHeader = "*s" }, "a letter first"},
		{"a number as the header", func(s *proxy.Site) { s.SecretHeader = "123" }, "a letter first"},
		{"a quote in the header", func(s *proxy.Site) { s.SecretHeader = "X'Y" }, "letters, digits and hyphens"},
		{"an alternative in the header", func(s *proxy.Site) { s.SecretHeader = "X|Y" }, "letters, digits and hyphens"},
		{"a short secret", func(s *proxy.Site) { s.Secret = "0123" }, "TrustSecret"},
		{"a secret of two lines", func(s *proxy.Site) { s.Secret = "0123456789abcdef\n" }, "printable"},
		{"a secret that ends with a space", func(s *proxy.Site) { s.Secret = "0123456789abcdef " }, "printable"},
		{"a variable in the secret", func(s *proxy.Site) { s.Secret = "0123456789$host" }, "dollar"},
		{"a variable in a path", func(s *proxy.Site) { s.Key = "/$host/key" }, "dollar"},
		{"no port", func(s *proxy.Site) { s.Listen = "" }, "Site.Listen"},
		{"port 0", func(s *proxy.Site) { s.Listen = "0" }, "Site.Listen"},
		{"options beside the port", func(s *proxy.Site) { s.Listen = "443 default_server" }, "Site.Listen"},
		{"no API", func(s *proxy.Site) { s.API = nil }, "Site.API"},
		{"options beside the API", func(s *proxy.Site) { s.API = []string{"api:80 backup"} }, "Site.API"},
		{"an API by URL", func(s *proxy.Site) { s.API = []string{"http://api:80"} }, "Site.API"},
		{"an API without a port", func(s *proxy.Site) { s.API = []string{"api"} }, "Site.API"},
		{"a relative path", func(s *proxy.Site) { s.Certificate = "crt" }, "Site.Certificate"},
		{"a key by value", func(s *proxy.Site) { s.Key = "data:key" }, "Site.Key"},
		{"no authorities", func(s *proxy.Site) { s.Clients = "" }, "Site.Clients"},
		{"a path of two lines", func(s *proxy.Site) { s.Clients = "/ca\n" }, "Site.Clients"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := site()
			tt.change(&s)
			if text, err := s.Nginx(); err == nil || !strings.Contains(err.Error(), tt.want) || text != "" {
				t.Errorf("got %q, %v, want an error with %q", text, err, tt.want)
			}
		})
	}
}

// What can't be reported must still be removed.
func TestSiteWithoutVerdict(t *testing.T) {
	s := site()
	s.Format = s.Format.WithoutVerdict()
	text, err := s.Nginx()
	if err != nil || !strings.Contains(text, `proxy_set_header X-Verify "";`) || strings.Contains(text, "$ssl_client_verify") {
		t.Errorf("got %v:\n%s", err, text)
	}
}

// nginxWords takes a configuration apart as nginx's ngx_conf_read_token does: parameters, and the marks ; { and }.
func nginxWords(text string) (words []string) {
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case strings.IndexByte(" \t\r\n", c) >= 0:
			i++
		case c == '#':
			for i < len(text) && text[i] != '\n' {
				i++
			}
		case strings.IndexByte(";{}", c) >= 0:
			words = append(words, string(c))
			i++
		default:
			quote := byte(0)
			if c == '"' || c == '\'' {
				quote = c
				i++
			}
			var word []byte
			for ; i < len(text); i++ {
				c := text[i]
				if quote != 0 && c == quote || quote == 0 && strings.IndexByte(" \t\r\n;{", c) >= 0 {
					break
				}
				if c == '\\' && i+1 < len(text) {
					switch i++; text[i] {
					case '"', '\'', '\\':
					default:
						word = append(word, '\\')
					}
				}
				word = append(word, text[i])
			}
			if quote != 0 {
				i++
			}
			words = append(words, "="+string(word))
		}
	}
	return words
}

// Whatever the values are, the directives are the same, and nginx reads the values as they are.
func FuzzSiteNginx(f *testing.F) {
	f.Add(`0123456789abcdef";} #'\`, "/a b/{;}", "api.example:80")
	f.Add(`0123456789abcdef\`, `/a\"`, "unix:/a b;")
	f.Add(`0123456789abcdef{{.Key}}`, `/'`, "[::1]:80")
	plain, err := site().Nginx()
	if err != nil {
		f.Fatal(err)
	}
	want := nginxWords(plain)
	f.Fuzz(func(t *testing.T, secret, file, api string) {
		s := site()
		s.Secret, s.Key, s.API = secret, file, []string{api}
		text, err := s.Nginx()
		if err != nil {
			return
		}
		expected := slices.Clone(want)
		for i, word := range expected {
			switch word {
			case "=0123456789abcdef":
				expected[i] = "=" + secret
			case "=/c/key":
				expected[i] = "=" + file
			case "=127.0.0.1:8080":
				expected[i] = "=" + api
			}
		}
		if got := nginxWords(text); !slices.Equal(got, expected) {
			t.Errorf("got %q, want %q", got, expected)
		}
	})
}
