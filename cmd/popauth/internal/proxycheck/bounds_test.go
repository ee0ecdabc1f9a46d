package proxycheck_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/cmd/popauth/internal/proxycheck"
)

func nginxOf(location string) string {
	return "http { server { listen 443 ssl; ssl_verify_client optional_no_ca; " + location + " } }"
}

func codes(t *testing.T, findings []proxycheck.Finding, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range findings {
		all = append(all, fmt.Sprint(f.Code))
	}
	return strings.Join(all, " ")
}

// A variable is what every set in its place says, and none that comes to itself is followed for ever.
func TestNginxVariables(t *testing.T) {
	const pass = "proxy_pass http://a; proxy_set_header X-Cert $a; proxy_next_upstream off;"
	for name, tt := range map[string]struct {
		text string
		want proxycheck.Code
	}{
		"set to another":  {"set $a $ssl_client_escaped_cert; location / { " + pass + " }", ""},
		"set to itself":   {"set $a $a; location / { " + pass + " }", proxycheck.Unknown},
		"set in a circle": {"set $a $b; set $b $c; set $c $a; location / { " + pass + " }", proxycheck.Unknown},
		"set again in an if": {"set $a $ssl_client_escaped_cert; if ($x) { set $a $http_y; } location / { " + pass + " }",
			proxycheck.ClientValue},
		"set again in a location": {"set $a $ssl_client_escaped_cert; location / { set $a $arg_y; " + pass + " }", proxycheck.ClientValue},
		"set elsewhere": {"set $a $ssl_client_escaped_cert; location / { " + pass + " } location /b { set $a $http_y; return 204; }",
			""},
	} {
		findings, err := proxycheck.Nginx("x", nginxOf(tt.text), proxycheck.Expect{Certificate: "X-Cert"})
		got := strings.TrimSpace(strings.ReplaceAll(codes(t, findings, err), string(proxycheck.Override), ""))
		if got != string(tt.want) {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}

// A file that is made for it takes neither the memory nor the day.
func TestBounds(t *testing.T) {
	var chains strings.Builder
	for i := range 9 {
		fmt.Fprintf(&chains, "    a%d: {chain: {middlewares: [%s]}}\n", i, strings.Repeat(fmt.Sprintf("a%d,", i+1), 50))
	}
	router := "http:\n  routers:\n    r: {rule: x, middlewares: [a0]}\n  middlewares:\n"
	for name, check := range map[string]func() ([]proxycheck.Finding, error){
		"places of nginx": func() ([]proxycheck.Finding, error) {
			return proxycheck.Nginx("x", nginxOf(strings.Repeat("location / { proxy_pass http://x; }", 20_000)),
				proxycheck.Expect{Certificate: "X-Cert"})
		},
		"chains of chains": func() ([]proxycheck.Finding, error) {
			text := router + chains.String() + "    a9: {retry: {attempts: 1}}\n"
			return proxycheck.Traefik("x", [][]byte{[]byte(text)}, proxycheck.Expect{Certificate: "X-Cert"})
		},
		"a chain in a circle": func() ([]proxycheck.Finding, error) {
			text := router + "    a0: {chain: {middlewares: [" + strings.Repeat("a0,", 500) + "]}}\n"
			return proxycheck.Traefik("x", [][]byte{[]byte(text)}, proxycheck.Expect{Certificate: "X-Cert"})
		},
	} {
		start := time.Now()
		findings, err := check()
		if codes(t, findings, err) == "" {
			t.Errorf("%s: nothing found", name)
		}
		if took := time.Since(start); took > 20*time.Second || len(findings) > 1000 {
			t.Errorf("%s: %d findings in %v", name, len(findings), took)
		}
	}
}
