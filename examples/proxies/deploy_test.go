package proxies_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/internal/counterpart"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// deployment is the script of the page, as it stands there but for its variables.
type deployment struct {
	dir    string
	script string
}

func newDeployment(t *testing.T, c *cast) *deployment {
	t.Helper()
	counterpart.Need(t, "sh", "curl", "openssl")
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, script, _ := strings.Cut(string(text), "<!-- deploy test -->\n```sh\n")
	script, _, _ = strings.Cut(script, "```\n")
	d := &deployment{dir: t.TempDir(), script: script}
	for _, client := range []*popauthtest.Client{c.owner, c.thief} {
		if _, _, err := client.WritePEM(d.dir); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range map[string][]byte{"ca.crt": c.authority.PEM(), "owner.token": []byte(c.token(c.owner))} {
		if err := os.WriteFile(filepath.Join(d.dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// run runs it, with these values of its variables.
func (d *deployment) run(t *testing.T, variables map[string]string) (output string, status int) {
	t.Helper()
	script := d.script
	for name, value := range variables {
		before, rest, ok := strings.Cut("\n"+script, "\n"+name+"=")
		if !ok {
			t.Fatalf("%s: no variable %s in\n%s", page, name, script)
		}
		_, after, _ := strings.Cut(rest, "\n")
		script = strings.TrimPrefix(before+"\n"+name+"='"+value+"'\n"+after, "\n")
	}
	command := exec.Command("sh", "-c", script)
	command.Dir = d.dir
	out, err := command.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), command.ProcessState.ExitCode()
}

// The script says all clear where it is, and finds what is open.
func TestDeployScript(t *testing.T) {
	need(t, "nginx", "apache", "haproxy", "caddy")
	c := newCast(t)
	d := newDeployment(t, c)
	const forgets = "	location /orders { proxy_set_header X-Request-Id 1; proxy_pass http://popauth_api; }\n	location / {"
	const keeps = "proxy_cache_path ${CERTS}/cache keys_zone=kept:1m;\nserver {\n" +
		"	proxy_cache kept; proxy_ignore_headers Cache-Control Vary; proxy_cache_valid 200 1m;\n"
	nginx, traefik := kindOf("nginx"), kindOf("traefik")
	open := traefik
	open.static = insecure()
	const cleared = `          "X-Forwarded-Tls-Client-Cert": ""` + "\n"
	for _, tt := range []struct {
		name      string
		kind      kind
		old, new  string
		noSecret  bool   // the API asks for none
		format    string // empty: what the API prints
		around    bool   // with api and secret
		cacheable bool   // with an address for caches
		status    int
		says      string
	}{
		{name: "right, around", kind: nginx, around: true, says: "All clear."},
		{name: "right, from outside", kind: nginx, status: 2, says: "nothing proven"},
		{name: "right", kind: kindOf("apache"), around: true, says: "All clear."},
		{name: "right", kind: kindOf("haproxy"), around: true, says: "All clear."},
		{name: "right", kind: kindOf("haproxy-rfc9440"), around: true, says: "All clear."},
		{name: "right", kind: kindOf("caddy 2.11"), around: true, says: "All clear."},
		{name: "right", kind: traefik, around: true, says: "All clear."},
		{name: "right", kind: kindOf("envoy"), around: true, says: "All clear."},
		{
			name: "Traefik believes every sender", kind: open, old: cleared,
			around: true,
			status: 1, says: "OPEN  200  no certificate, forged\n",
		},
		{
			name: "the same, from outside", kind: open, old: cleared,
			status: 1, says: "OPEN  200  no certificate, forged\n",
		},
		{
			name: "the same, for names of another proxy", kind: open, old: cleared,
			around: true,
			format: "nginx [X-Ssl-Client-Cert X-Ssl-Client-Verify]", status: 1, says: "WRONG 401  as the proxy, around it",
		},
		{
			name: "the same, for names of another proxy, from outside", kind: open, old: cleared,
			format: "nginx [X-Ssl-Client-Cert X-Ssl-Client-Verify]", status: 2, says: "nothing proven",
		},
		{
			name: "names of another format", kind: nginx, format: "traefik [X-Ssl-Client-Cert X-Ssl-Client-Verify]",
			status: 1, says: "want \"x-forwarded-tls",
		},
		{name: "a format that it doesn't know", kind: nginx, format: "custom [X-Cert]", status: 1,
			says: "format: got the headers \"x-cert\""},
		{name: "no format", kind: nginx, format: "nginx", status: 1, says: "format: got the headers"},
		{
			name: "nginx forgets to replace", kind: nginx, old: "	location / {", new: forgets, noSecret: true,
			status: 1, says: "OPEN  200  no certificate, forged\n",
		},
		{
			name: "nginx keeps answers", kind: nginx, old: "server {", new: keeps, around: true, cacheable: true,
			status: 1, says: "OPEN  200  no token and no certificate, from a cache\n",
		},
		{name: "nginx keeps none", kind: nginx, around: true, cacheable: true,
			says: "401  no token and no certificate, from a cache\nAll clear."},
		{name: "nginx passes none on", kind: nginx, old: "$ssl_client_escaped_cert", new: `""`, around: true, status: 1, says: "WRONG 4"},
	} {
		t.Run(tt.kind.name+" "+tt.name, func(t *testing.T) {
			t.Parallel()
			trust := []proxy.Trust{proxy.TrustPeers(loopback), proxy.TrustSecret("X-Proxy-Secret", secret)}
			if tt.noSecret {
				trust = trust[:1]
			}
			l := newAPI(t, c, tt.kind, nil, trust...)
			if !strings.Contains(file(tt.kind), tt.old) {
				t.Fatalf("no %q", tt.old)
			}
			l.start(t, l.api.Listener.Addr().String(), strings.Replace(file(tt.kind), tt.old, tt.new, 1))
			variables := map[string]string{
				"url":    "https://" + strings.Replace(l.front.Address, "127.0.0.1", "localhost", 1) + "/orders",
				"format": printed(l.format),
			}
			if tt.format != "" {
				variables["format"] = tt.format
			}
			if tt.around {
				variables["api"], variables["secret"] = l.api.URL+"/orders", "X-Proxy-Secret: "+secret
			}
			if tt.cacheable {
				variables["cacheable"] = variables["url"] + "/cacheable"
			}
			out, status := d.run(t, variables)
			if status != tt.status || !strings.Contains(out, tt.says) {
				t.Errorf("got status %d, want %d and %q:\n%s", status, tt.status, tt.says, out)
			}
		})
	}
}

// For every format there is what its proxy would send for the owner: the format reads it so.
func TestDeployScriptFormats(t *testing.T) {
	need(t)
	c := newCast(t)
	d := newDeployment(t, c)
	before, _, _ := strings.Cut(d.script, "dir=$(mktemp")
	d.script = before + `printf '%s\r\n' "$lines" | sed 's/|/\r\n/g'; printf '\r\n'`
	for _, f := range []proxy.Format{
		proxy.Nginx("A-Cert", "A-Verify"), proxy.IngressNginx(), proxy.Apache("A-Cert", "A-Verify"),
		proxy.HAProxy("A-Cert", "A-Verify"), proxy.Caddy("A-Cert"), proxy.RFC9440(), proxy.RFC9440Template(),
		proxy.Envoy(), proxy.Traefik(), proxy.AWSALBVerify(), proxy.AWSALBPassthrough(),
		proxy.GoogleCloud(proxy.GoogleCloudHeaders{}), proxy.Cloudflare(), proxy.CloudflareLegacy(),
		proxy.AzureAppService(), proxy.IISARR(), proxy.Kong(), proxy.CloudFoundry(),
		proxy.CloudFront(), proxy.CloudFrontPassthrough(), proxy.AzureApplicationGateway("A-Cert", "A-Verify"), proxy.AzureContainerApps(),
		proxy.F5("A-Cert", "A-Verify"), proxy.AWSLambdaWebAdapter(),
	} {
		out, status := d.run(t, map[string]string{"format": printed(f)})
		lines, err := textproto.NewReader(bufio.NewReader(strings.NewReader(out))).ReadMIMEHeader()
		if err != nil || status != 0 {
			t.Errorf("%s: got status %d, %v:\n%s", f.Name(), status, err, out)
			continue
		}
		got, err := f.Decode(http.Header(lines))
		if err != nil || !bytes.Equal(got.Leaf, c.owner.Certificate.Certificate[0]) {
			t.Errorf("%s: got %v for\n%s", f.Name(), err, out)
		}
	}
}

// printed is what fmt.Println prints of a format.
func printed(f proxy.Format) string {
	return strings.TrimSuffix(fmt.Sprintln(f.Name(), f.Headers()), "\n")
}
