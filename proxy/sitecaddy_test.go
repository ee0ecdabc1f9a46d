package proxy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/proxy"
)

func caddySite() proxy.Site {
	s := site()
	s.Format, s.Clients = proxy.Caddy("X-Cert"), ""
	return s
}

func TestSiteCaddyRefuses(t *testing.T) {
	if _, err := caddySite().Caddy(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		change func(*proxy.Site)
		want   string
	}{
		{"a format of another proxy", func(s *proxy.Site) { s.Format = proxy.Nginx("X-Cert", "X-Verify") }, "Caddy doesn't write"},
		{"a format under Caddy's name", func(s *proxy.Site) {
			s.Format = proxy.Custom(proxy.CustomHeaders{Name: "caddy", Certificate: "X-Cert", Encoding: proxy.Base64DER})
		}, "Caddy doesn't write"},
		{"a name that is removed", func(s *proxy.Site) { s.Format = proxy.Caddy("X-Rewrite-URL") }, "another use"},
		{"a name that is a removal", func(s *proxy.Site) { s.Format = proxy.Caddy("-X-Cert") }, "for a removal"},
		{"a secret's name that is a removal", func(s *proxy.Site) { s.SecretHeader = "-X-Secret" }, "for a removal"},
		{"a placeholder in the secret", func(s *proxy.Site) { s.Secret = "0123456789{http.host}" }, "brace"},
		{"a variable in the secret", func(s *proxy.Site) { s.Secret = "0123456789{$HOME}" }, "brace"},
		{"a placeholder in a path", func(s *proxy.Site) { s.Certificate = "/{env.HOME}" }, "brace"},
		{"a placeholder in the key's path", func(s *proxy.Site) { s.Key = "/}" }, "brace"},
		{"no quotes for the secret", func(s *proxy.Site) { s.Secret = "0123456789abcdef\\`" }, "can't quote"},
		{"no quotes for a path", func(s *proxy.Site) { s.Key = "/\\`" }, "can't quote"},
		{"a socket with a placeholder", func(s *proxy.Site) { s.API = []string{"unix:/{env.HOME}"} }, "Site.API"},
		{"a socket with its permissions", func(s *proxy.Site) { s.API = []string{"unix:/api|0222"} }, "Site.API"},
		{"authorities", func(s *proxy.Site) { s.Clients = "/c/ca" }, "leave it empty"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := caddySite()
			tt.change(&s)
			if text, err := s.Caddy(); err == nil || !strings.Contains(err.Error(), tt.want) || text != "" {
				t.Errorf("got %q, %v, want an error with %q", text, err, tt.want)
			}
		})
	}
}

// caddyWords takes a Caddyfile apart as Caddy's lexer does: arguments, and the ends of lines.
func caddyWords(text string) (words []string) {
	var word []byte
	started := false
	end := func() {
		if started {
			words = append(words, "="+string(word))
		}
		word, started = nil, false
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\n':
			end()
			words = append(words, "\n")
		case c == ' ' || c == '\t':
			end()
		case c == '#' && !started:
			for i+1 < len(text) && text[i+1] != '\n' {
				i++
			}
		case (c == '"' || c == '`') && !started:
			started = true
			for i++; i < len(text) && text[i] != c; i++ {
				if c == '"' && text[i] == '\\' && i+1 < len(text) {
					if i++; text[i] != '"' {
						word = append(word, '\\')
					}
				}
				word = append(word, text[i])
			}
			end()
		default:
			word, started = append(word, c), true
		}
	}
	return words
}

// Whatever the values are, the directives are the same, and Caddy reads the values as they are.
func FuzzSiteCaddy(f *testing.F) {
	f.Add("0123456789abcdef\"` #'x", "/a b/;\"", "api.example:80")
	f.Add(`0123456789abcdef\`, `/a\"`, "unix:/a")
	f.Add(`0123456789abcdef\" <<X`, "/`", "[::1]:80")
	plain, err := caddySite().Caddy()
	if err != nil {
		f.Fatal(err)
	}
	want := caddyWords(plain)
	f.Fuzz(func(t *testing.T, secret, file, api string) {
		s := caddySite()
		s.Secret, s.Key, s.API = secret, file, []string{api}
		text, err := s.Caddy()
		if err != nil {
			return
		}
		if strings.ContainsAny(secret+file+api, "{}") {
			t.Errorf("a placeholder: %q, %q, %q", secret, file, api)
		}
		expected := slices.Clone(want)
		for i, word := range expected {
			switch word {
			case "=0123456789abcdef":
				expected[i] = "=" + secret
			case "=/c/key":
				expected[i] = "=" + file
			case "=127.0.0.1:8080":
				expected[i] = "=" + strings.Replace(api, "unix:", "unix/", 1)
			}
		}
		if got := caddyWords(text); !slices.Equal(got, expected) {
			t.Errorf("got %q, want %q", got, expected)
		}
	})
}
