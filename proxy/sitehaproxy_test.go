package proxy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/proxy"
)

func haproxySite() proxy.Site {
	s := site()
	s.Format, s.Key = proxy.HAProxy("X-Cert", "X-Verify"), s.Certificate
	return s
}

func TestSiteHAProxyRefuses(t *testing.T) {
	if _, err := haproxySite().HAProxy(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		change func(*proxy.Site)
		want   string
	}{
		{"a format of another proxy", func(s *proxy.Site) { s.Format = proxy.Nginx("X-Cert", "X-Verify") }, "HAProxy doesn't write"},
		{"a format under its name", func(s *proxy.Site) {
			s.Format = proxy.Custom(proxy.CustomHeaders{Name: "haproxy", Certificate: "X-Cert", Encoding: proxy.Base64DER})
		}, "HAProxy doesn't write"},
		{"a format made from one of its own", func(s *proxy.Site) { s.Format = proxy.Cloudflare() }, "HAProxy doesn't write"},
		{"a key in another file", func(s *proxy.Site) { s.Key = "/c/key" }, "finds the key in"},
		{"no authorities", func(s *proxy.Site) { s.Clients = "" }, "Site.Clients"},
		{"a chain under the name of an override", func(s *proxy.Site) { s.Format = s.Format.WithChain("X-HTTP-Method") }, "another use"},
		{"a secret of two lines", func(s *proxy.Site) { s.Secret = "0123456789abcdef\n" }, "printable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := haproxySite()
			tt.change(&s)
			if text, err := s.HAProxy(); err == nil || !strings.Contains(err.Error(), tt.want) || text != "" {
				t.Errorf("got %q, %v, want an error with %q", text, err, tt.want)
			}
		})
	}
}

func TestSiteHAProxy(t *testing.T) {
	const del, set, ssl = "\thttp-request del-header ", "\thttp-request set-header ", "\tbind "
	for _, tt := range []struct {
		name   string
		change func(*proxy.Site)
		want   []string
		not    string
	}{
		{"a port", func(*proxy.Site) {},
			[]string{ssl + `"*:443" ssl`, set + "X-Cert %[ssl_c_der,base64]\n", del + "^x[^a-z0-9]cert$ -m reg\n"}, "ssl_c_chain"},
		{"a key beside", func(s *proxy.Site) { s.Key = "/c/crt.key" }, []string{` ssl crt "/c/crt" alpn`}, "crt.key"},
		{"IPv6", func(s *proxy.Site) { s.Listen = "[::1]:443" }, []string{ssl + `"[::1]:443" ssl`}, ""},
		{"a socket and a name", func(s *proxy.Site) { s.API = []string{"unix:/a b", "api.example:80"} },
			[]string{"\tserver api \"unix@/a b\"\n", "\tserver api1 \"api.example:80\"\n"}, ""},
		{"no verdict", func(s *proxy.Site) { s.Format = s.Format.WithoutVerdict() },
			[]string{del + "^x[^a-z0-9]verify$ -m reg\n"}, "ssl_c_verify"},
		{"a chain", func(s *proxy.Site) { s.Format = s.Format.WithChain("X-Chain") },
			[]string{set + "X-Chain %[ssl_c_chain_der,base64]\n", del + "^x[^a-z0-9]chain$ -m reg\n"}, ""},
		{"RFC 9440", func(s *proxy.Site) { s.Format = proxy.RFC9440() }, []string{
			set + "Client-Cert :%[ssl_c_der,base64]: if { ssl_c_used }\n", del + "^client[^a-z0-9]cert[^a-z0-9]chain$ -m reg\n",
		}, "ssl_c_verify"},
		{"no secret", func(s *proxy.Site) { s.SecretHeader, s.Secret = "", "" }, []string{set + "X-Cert"}, "ecret"},
		{"commands", func(s *proxy.Site) { s.Secret = `%[path] $HOME "\ 100%` },
			[]string{`X-Secret "%%[path] \$HOME \"\\ 100%%"` + "\n"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := haproxySite()
			tt.change(&s)
			text, err := s.HAProxy()
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

// haproxyWords takes a configuration apart as HAProxy does (section 2.2 of its manual): words, and the ends of lines. A variable in
// double quotes is marked, since it would be replaced.
func haproxyWords(text string) (words []string) {
	for line := range strings.Lines(text) {
		var word []byte
		in, quoted := false, false
		end := func() {
			if in {
				words = append(words, string(word))
			}
			word, in = nil, false
		}
		for i := 0; i < len(line); i++ {
			switch c := line[i]; {
			case c == '\\' && i+1 < len(line):
				i++
				word, in = append(word, line[i]), true
			case c == '"':
				quoted, in = !quoted, true
			case quoted && c == '$':
				word = append(word, "<variable>"...)
			case quoted:
				word = append(word, c)
			case c == '\'':
				word, in = append(word, "<quote>"...), true
			case c == '#':
				i = len(line)
			case c == ' ' || c == '\t' || c == '\n':
				end()
			default:
				word, in = append(word, c), true
			}
		}
		if quoted {
			word = append(word, "<open>"...)
		}
		end()
		words = append(words, "\n")
	}
	return words
}

// Whatever the values are, the words are the same, and HAProxy reads the values as they are.
func FuzzSiteHAProxy(f *testing.F) {
	f.Add(`0123456789abcdef"; #'\`, "/a b/{;}", "api.example:80")
	f.Add(`0123456789abcdef\`, `/a\"$x`, "unix:/a b;")
	f.Add(`0123456789abcdef{{.Key}}${HOME}%[path]`, `/'`, "[::1]:80")
	plain, err := haproxySite().HAProxy()
	if err != nil {
		f.Fatal(err)
	}
	want := haproxyWords(plain)
	f.Fuzz(func(t *testing.T, secret, file, api string) {
		s := haproxySite()
		s.Secret, s.Certificate, s.Key, s.API = secret, file, file, []string{api}
		text, err := s.HAProxy()
		if err != nil {
			return
		}
		expected := slices.Clone(want)
		for i, word := range expected {
			switch word {
			case "0123456789abcdef":
				expected[i] = strings.ReplaceAll(secret, "%", "%%")
			case "/c/crt":
				expected[i] = file
			case "127.0.0.1:8080":
				expected[i] = strings.Replace(api, "unix:/", "unix@/", 1)
			}
		}
		if got := haproxyWords(text); !slices.Equal(got, expected) {
			t.Errorf("got %q, want %q", got, expected)
		}
	})
}
