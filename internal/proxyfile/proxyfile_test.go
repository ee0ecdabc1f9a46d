package proxyfile_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/seed-171ab058/popauth/internal/field"
	"github.com/seed-171ab058/popauth/internal/proxyfile"
)

func TestAddresses(t *testing.T) {
	for _, tt := range []struct {
		text                         string
		port, listen, upstream, file bool
	}{
		{text: "443", port: true, listen: true}, {text: "0"}, {text: "0443"}, {text: "65536"}, {text: "-1"}, {text: ""},
		{text: "192.0.2.1:443", listen: true, upstream: true}, {text: "[::1]:443", listen: true, upstream: true},
		{text: "[fe80::1%eth0]:443"}, {text: "192.0.2.1:0"}, {text: "::1:443"}, {text: "api.example:80", upstream: true},
		{text: "api.example"}, {text: ".api:80"}, {text: "api:80;"}, {text: "a b:80"}, {text: "a\n:80"}, {text: "http://api:80"},
		{text: "unix:/run/api", upstream: true}, {text: "unix:run"}, {text: "unix:/a:b"},
		{text: "/etc/key", file: true}, {text: "/"}, {text: "/a/../b"},
		{text: "/a/"}, {text: "etc/key"}, {text: "data:key"}, {text: "/a\nb"},
		{text: "/a b", file: true},
	} {
		for name, got := range map[string][2]bool{
			"IsPort": {proxyfile.IsPort(tt.text), tt.port}, "IsListen": {proxyfile.IsListen(tt.text), tt.listen},
			"IsUpstream": {proxyfile.IsUpstream(tt.text), tt.upstream}, "IsFile": {proxyfile.IsFile(tt.text), tt.file},
		} {
			if got[0] != got[1] {
				t.Errorf("%s(%q): got %t, want %t", name, tt.text, got[0], got[1])
			}
		}
	}
}

func TestQuoted(t *testing.T) {
	for _, tt := range []struct {
		name      string
		got, want string
	}{
		{"nginx, bare", proxyfile.NginxWord("/a-b.c_d:1"), "/a-b.c_d:1"}, {"nginx, empty", proxyfile.NginxWord(""), `""`},
		{"nginx", proxyfile.NginxWord(`a "\;`), `"a \"\\;"`},
		{"Caddy, bare", proxyfile.CaddyWord("/a"), "/a"}, {"Caddy, a quote", proxyfile.CaddyWord(`a"b`), `"a\"b"`},
		{"Caddy, a backslash", proxyfile.CaddyWord(`a\"`), "`a\\\"`"}, {"Caddy, a socket", proxyfile.CaddyUpstream("unix:/a"), "unix//a"},
		{"Caddy, an address", proxyfile.CaddyUpstream("a:1"), "a:1"},
		{"YAML", proxyfile.YAMLQuoted(`a"\`), `"a\"\\"`}, {"Envoy, a command", proxyfile.EnvoyValue("%REQ(x)%"), `"%%REQ(x)%%"`},
		{"Envoy, a port", proxyfile.EnvoyListen("443"), `{ socket_address: { address: "0.0.0.0", port_value: 443 } }`},
		{"Envoy, an address", proxyfile.EnvoyListen("[::1]:443"), `{ socket_address: { address: "::1", port_value: 443 } }`},
		{"Envoy, a socket", proxyfile.EnvoyAddress("unix:/a"), `{ pipe: { path: "/a" } }`},
		{"Envoy, none", proxyfile.EnvoyAddress("a"), ""},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, tt.got, tt.want)
		}
	}
}

func TestEnvoyKind(t *testing.T) {
	for _, tt := range []struct {
		addresses []string
		want      string // empty for an error
	}{
		{[]string{"127.0.0.1:1"}, "STATIC"}, {[]string{"unix:/a", "127.0.0.1:1"}, "STATIC"}, {[]string{"a:1", "127.0.0.1:1"}, "STRICT_DNS"},
		{[]string{"unix:/a", "a:1"}, ""},
	} {
		if got, err := proxyfile.EnvoyKind(tt.addresses); got != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("%q: got %q, %v, want %q", tt.addresses, got, err, tt.want)
		}
	}
}

// The patterns match what field.Fold makes one of.
func TestSpellings(t *testing.T) {
	const name = "X-Auth-Issuer"
	every := regexp.MustCompile("^(?i:" + proxyfile.Spellings(name) + ")$")
	other := regexp.MustCompile("^(?i:" + proxyfile.OtherSpellings(name) + ")$")
	for _, c := range proxyfile.CaddyOther() {
		for _, spelled := range []string{"x" + c + "auth-issuer", "X-Auth" + c + "Issuer", "X" + c + "AUTH" + c + "ISSUER"} {
			if field.Fold(spelled) != field.Fold(name) || !every.MatchString(spelled) || !other.MatchString(spelled) {
				t.Errorf("%s: not matched", spelled)
			}
		}
	}
	if !every.MatchString("x-auth-issuer") || other.MatchString("x-auth-issuer") || every.MatchString("x-auth-issuers") {
		t.Error("the name itself")
	}
	if !slices.Contains(proxyfile.Overrides(), "X-HTTP-Method-Override") {
		t.Error("no override")
	}
}

func TestFill(t *testing.T) {
	got, err := proxyfile.Fill("{{shout .A}}", struct{ A string }{"{{x}}"}, template.FuncMap{"shout": strings.ToUpper})
	if got != "{{X}}" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	for _, text := range []string{"{{", "{{.B}}"} {
		if got, err := proxyfile.Fill(text, struct{ A string }{}, nil); got != "" || err == nil {
			t.Errorf("%s: got %q, %v, want an error", text, got, err)
		}
	}
}
