package main

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/forwardauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

var update = flag.Bool("update", false, "write the files that are shipped anew")

// shipped are the files of this directory, with what stands for variables there.
var shipped = []struct {
	proxy string
	file  string
	head  string // before what the Site writes
	write func(forwardauth.Site) (string, error)
	vars  []string
}{
	{
		proxy: "nginx", file: "nginx.conf",
		head:  "# Replace the five ${…}, by hand or: envsubst '$LISTEN $API $AUTH $CERTS $PROXY_SECRET' <nginx.conf\n",
		write: forwardauth.Site.Nginx,
		vars:  []string{"192.0.2.1:65535", "${LISTEN}", "api.invalid:1", "${API}", "auth.invalid:2", "${AUTH}"},
	},
	{
		proxy: "caddy", file: "Caddyfile",
		head:  "# The five {$…} come from the environment of caddy; LISTEN is a site's address, such as api.example.com.\n",
		write: forwardauth.Site.Caddy, vars: []string{
			"https://:65535", "https://{$LISTEN}", "\tbind 192.0.2.1\n", "", "api.invalid:1", "{$API}", "auth.invalid:2", "{$AUTH}",
			"/certs/", "{$CERTS}/", "<the proxy's secret>", "{$PROXY_SECRET}",
		},
	},
	{
		proxy: "traefik", file: "traefik.yaml",
		head: "# Replace the four ${…}, by hand or: envsubst '$API $AUTH $CERTS $PROXY_SECRET' <traefik.yaml\n",
		write: func(s forwardauth.Site) (string, error) {
			_, dynamic, err := s.Traefik("/conf/traefik.yaml")
			return dynamic, err
		},
		vars: []string{"api.invalid:1", "${API}", "auth.invalid:2", "${AUTH}"},
	},
	{
		proxy: "traefik", file: "traefik-static.yaml",
		head: "# Replace the two ${…}, by hand or: envsubst '$LISTEN $CONF' <traefik-static.yaml\n",
		write: func(s forwardauth.Site) (string, error) {
			static, _, err := s.Traefik("/conf/traefik.yaml")
			return static, err
		},
		vars: []string{"192.0.2.1:65535", "${LISTEN}", "/conf/", "${CONF}/"},
	},
	{
		proxy: "envoy", file: "envoy.yaml",
		head: "# Replace the eight ${…}, by hand or:\n" +
			"# envsubst '$LISTEN_HOST $LISTEN_PORT $API_HOST $API_PORT $AUTH_HOST $AUTH_PORT $CERTS $PROXY_SECRET' <envoy.yaml\n",
		write: forwardauth.Site.Envoy, vars: []string{
			"192.0.2.1", "${LISTEN_HOST}", "65535", "${LISTEN_PORT}", "api.invalid", "${API_HOST}",
			"port_value: 1 ", "port_value: ${API_PORT} ",
			"auth.invalid", "${AUTH_HOST}", "port_value: 2 ", "port_value: ${AUTH_PORT} ",
		},
	},
}

// The files of this directory are what a Site writes.
func TestShippedIsWritten(t *testing.T) {
	const secret = "<the proxy's secret>"
	for _, tt := range shipped {
		s, err := site(popauth.Options{
			Verifier: popauthtest.NewIssuer(t).Options(audience).Verifier, Issuer: "https://id.example.com", Audience: []string{audience},
		}, setups[tt.proxy], secret)
		if err != nil {
			t.Fatal(err)
		}
		s.Listen, s.API, s.Service = "192.0.2.1:65535", []string{"api.invalid:1"}, []string{"auth.invalid:2"}
		s.Certificate, s.Key = "/certs/server.crt", "/certs/server.key"
		if tt.proxy == "nginx" {
			s.Clients = "/certs/clients-ca.crt"
		}
		text, err := tt.write(s)
		if err != nil {
			t.Fatal(err)
		}
		text = tt.head + "# Or have forwardauth.Site write it, with your values.\n#\n" +
			strings.NewReplacer(append(tt.vars, secret, "${PROXY_SECRET}", "/certs/", "${CERTS}/")...).Replace(text)
		got, err := os.ReadFile(tt.file)
		if err != nil && !*update {
			t.Fatal(err)
		}
		if text == string(got) {
			continue
		}
		if *update {
			if err := os.WriteFile(tt.file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		t.Errorf("%s is something else; after a change that is meant: go test ./examples/forwardauth -run Written -update", tt.file)
	}
}

// written writes the files of a proxy for this run: where it listens, and where its certificate is, stay variables.
func written(ingress string, change ...func(*forwardauth.Site)) func(forwardauth.Site) (configuration, static string, err error) {
	return func(s forwardauth.Site) (configuration, static string, err error) {
		s.Listen, s.Certificate, s.Key = "192.0.2.1:65535", "/certs/server.crt", "/certs/server.key"
		if ingress == "nginx" {
			s.Clients = "/certs/clients-ca.crt"
		}
		for _, c := range change {
			c(&s)
		}
		dir := "${CERTS}/"
		switch ingress {
		case "nginx":
			configuration, err = s.Nginx()
		case "caddy":
			dir = "{$CERTS}/"
			configuration, err = s.Caddy()
		case "traefik":
			static, configuration, err = s.Traefik("/conf/traefik.yaml")
		case "envoy":
			configuration, err = s.Envoy()
		}
		vars := strings.NewReplacer("https://:65535", "https://{$LISTEN}", "\tbind 192.0.2.1\n", "", "192.0.2.1:65535", "${LISTEN}",
			`address: "192.0.2.1", port_value: 65535`, `address: "${LISTEN_HOST}", port_value: ${LISTEN_PORT}`, "/certs/", dir,
			"/conf/", "${CONF}/")
		return vars.Replace(configuration), vars.Replace(static), err
	}
}
