package proxy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/proxy"
)

func apacheSite() proxy.Site {
	s := site()
	s.Format = proxy.Apache("X-Cert", "X-Verify")
	return s
}

func TestSiteApacheRefuses(t *testing.T) {
	if _, err := apacheSite().Apache(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		change func(*proxy.Site)
		want   string
	}{
		{"a format of another proxy", func(s *proxy.Site) { *s = site() }, "Apache doesn't write"},
		{"a variable in the secret", func(s *proxy.Site) { s.Secret = "0123456789${HOME}" }, "for a variable"},
		{"a variable in a path", func(s *proxy.Site) { s.Clients = "/${HOME}/ca" }, "for a variable"},
		{"a variable in a socket's path", func(s *proxy.Site) { s.API = []string{"unix:/${HOME}"} }, "for a variable"},
		{"an expression", func(s *proxy.Site) { s.Secret = "expr=0123456789abcdef" }, "for an expression"},
		{"two addresses", func(s *proxy.Site) { s.API = []string{"a:1", "b:1"} }, "takes one"},
		{"a socket with the mark of its end", func(s *proxy.Site) { s.API = []string{"unix:/a|http://b"} }, "Site.API"},
		{"the same by itself", func(s *proxy.Site) { s.API = []string{"unix:/a|b"} }, "ends the path"},
		{"no authorities", func(s *proxy.Site) { s.Clients = "" }, "Site.Clients"},
		{"a secret of two lines", func(s *proxy.Site) { s.Secret = "0123456789abcdef\n" }, "printable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := apacheSite()
			tt.change(&s)
			if text, err := s.Apache(); err == nil || !strings.Contains(err.Error(), tt.want) || text != "" {
				t.Errorf("got %q, %v, want an error with %q", text, err, tt.want)
			}
		})
	}
}

func TestSiteApache(t *testing.T) {
	const set, unset = "\tRequestHeader set ", "\tRequestHeader unset "
	for _, tt := range []struct {
		name   string
		change func(*proxy.Site)
		want   []string
		not    string
	}{
		{"a port", func(*proxy.Site) {}, []string{
			"Listen 443\n", "<VirtualHost *:443>\n", "SSLVerifyClient optional\n", set + "X-Verify \"%{SSL_CLIENT_VERIFY}s\"\n",
			unset + "Connection\n", unset + "X-Rewrite-URL\n", "ProxyPass / http://127.0.0.1:8080/\n",
		}, ""},
		{"IPv6", func(s *proxy.Site) { s.Listen = "[::1]:443" }, []string{"Listen [::1]:443\n", "<VirtualHost [::1]:443>\n"}, ""},
		{"a socket", func(s *proxy.Site) { s.API = []string{"unix:/a b"} }, []string{"ProxyPass / \"unix:/a b|http://localhost/\"\n"}, ""},
		{"no verdict", func(s *proxy.Site) { s.Format = s.Format.WithoutVerdict() },
			[]string{"SSLVerifyClient optional_no_ca\n", unset + "X-Verify\n"}, "{SSL_CLIENT_VERIFY}"},
		{"a chain", func(s *proxy.Site) { s.Format = s.Format.WithChain("X-A", "X-B") },
			[]string{set + "X-A \"%{SSL_CLIENT_CERT_CHAIN_0}s\"\n", set + "X-B \"%{SSL_CLIENT_CERT_CHAIN_1}s\"\n"}, ""},
		{"no secret", func(s *proxy.Site) { s.SecretHeader, s.Secret = "", "" }, []string{set + "X-Cert"}, "ecret"},
		{"commands", func(s *proxy.Site) { s.Secret = `%{HTTPS}s "\n 100%` },
			[]string{set + `X-Secret "%%{HTTPS}s \"\\\\n 100%%"` + "\n"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := apacheSite()
			tt.change(&s)
			text, err := s.Apache()
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

// apacheWords takes a configuration apart as httpd's ap_getword_conf does, line by line.
func apacheWords(text string) (words []string) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			continue
		}
		for line != "" {
			var word []byte
			stop := func(c byte) bool { return c == ' ' || c == '\t' }
			i := 0
			if q := line[0]; q == '"' || q == '\'' {
				i, stop = 1, func(c byte) bool { return c == q }
			}
			for ; i < len(line) && !stop(line[i]); i++ {
				if line[i] == '\\' && i+1 < len(line) && (line[i+1] == '\\' || stop(line[i+1]) && line[0] != line[i]) {
					i++
				}
				word = append(word, line[i])
			}
			words, line = append(words, string(word)), strings.TrimSpace(line[min(i+1, len(line)):])
		}
		words = append(words, "\n")
	}
	return words
}

// apacheConstant is what mod_headers makes of a value without tags, or "tag".
func apacheConstant(format string) string {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		next := byte(0)
		if i+1 < len(format) {
			next = format[i+1]
		}
		switch c := format[i]; {
		case c == '%' && next != '%':
			return "tag"
		case c == '%', c == '\\' && next == '\\':
			i++
			b.WriteByte(next)
		case c == '\\' && strings.IndexByte("rnt", next) >= 0:
			return "control"
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Whatever the values are, the directives are the same, and httpd reads the values as they are.
func FuzzSiteApache(f *testing.F) {
	f.Add(`0123456789abcdef"> #'\`, "/a b/{;}")
	f.Add(`0123456789abcdef\\n\`, `/a\"$x`)
	f.Add(`0123456789abcdef{{.Key}}$HOME%{HTTPS}s%`, `/'`)
	plain, err := apacheSite().Apache()
	if err != nil {
		f.Fatal(err)
	}
	want := apacheWords(plain)
	at := slices.Index(want, "0123456789abcdef")
	f.Fuzz(func(t *testing.T, secret, file string) {
		s := apacheSite()
		s.Secret, s.Key = secret, file
		text, err := s.Apache()
		if err != nil {
			return
		}
		expected := slices.Clone(want)
		expected[at], expected[slices.Index(want, "/c/key")] = secret, file
		got := apacheWords(text)
		if len(got) == len(want) {
			got[at] = apacheConstant(got[at])
		}
		if !slices.Equal(got, expected) {
			t.Errorf("got %q, want %q", got, expected)
		}
	})
}
