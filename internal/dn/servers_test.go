//go:build unix

package dn_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/internal/counterpart"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// asked starts a server that answers what it calls the client's certificate, and returns its answer for each subject.
func asked(t *testing.T, list []subject, config func(dir, address string) string, args ...string) []*http.Response {
	t.Helper()
	dir := t.TempDir()
	address := fmt.Sprint("127.0.0.1:", counterpart.Port(t))
	server := popauthtest.NewCA(t).Server()
	key, certificate := pemOf(t, server)
	for name, text := range map[string]string{"conf": config(dir, address), "crt": certificate, "key": key} {
		if err := os.WriteFile(filepath.Join(dir, "server."+name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(args[0], append(args[1:], filepath.Join(dir, "server.conf"))...)
	cmd.Env = counterpart.Environment(dir)
	p := counterpart.Start(t, cmd)
	get := func(s subject) (*http.Response, error) {
		client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
			InsecureSkipVerify: true, //nolint:gosec // what it says is looked at, not who it is
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				return &tls.Certificate{Certificate: [][]byte{s.certificate}, PrivateKey: s.key}, nil
			}}}}
		return client.Get("https://" + address + "/name")
	}
	p.Await(func() error {
		resp, err := get(list[0])
		if err == nil {
			_ = resp.Body.Close()
		}
		return err
	}, 30*time.Second)
	var all []*http.Response
	for _, s := range list {
		resp, err := get(s)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		all = append(all, resp)
	}
	return all
}

// nginx's $ssl_client_s_dn fits, and its legacy form, which has the first RDN first, is refused.
func TestNginx(t *testing.T) {
	counterpart.Need(t, "nginx")
	list := subjects(t, 40)
	for i, resp := range asked(t, list, func(dir, address string) string {
		return `daemon off; pid "` + dir + `/pid"; error_log stderr; events { }
http {
	access_log off; default_type text/plain;
	client_body_temp_path "` + dir + `/a"; proxy_temp_path "` + dir + `/b"; fastcgi_temp_path "` + dir + `/c";
	uwsgi_temp_path "` + dir + `/d"; scgi_temp_path "` + dir + `/e";
	server {
		listen ` + address + ` ssl; ssl_certificate "` + dir + `/server.crt"; ssl_certificate_key "` + dir + `/server.key";
		ssl_verify_client optional_no_ca;
		location / { return 200 "$ssl_client_s_dn\n$ssl_client_s_dn_legacy"; }
	}
}`
	}, "nginx", "-c") {
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		name, legacy, _ := strings.Cut(string(body), "\n")
		hold(t, "$ssl_client_s_dn", name, list, i, fits)
		hold(t, "$ssl_client_s_dn_legacy", legacy, list, i, refused)
	}
}

// Apache's SSL_CLIENT_S_DN fits, and with LegacyDNStringFormat is refused.
func TestApache(t *testing.T) {
	counterpart.Need(t, "apache2")
	list := subjects(t, 40)
	for option, want := range map[string]outcome{"": fits, "SSLOptions +LegacyDNStringFormat": refused} {
		for i, resp := range asked(t, list, func(dir, address string) string {
			var b strings.Builder
			for _, module := range []string{"mpm_event", "authz_core", "headers", "ssl"} {
				fmt.Fprintf(&b, "LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so\n", module, module)
			}
			fmt.Fprintf(&b, `ServerName localhost
Listen %s
PidFile "%s/pid"
ErrorLog "%[2]s/error.log"
DocumentRoot "%[2]s"
SSLEngine on
SSLCertificateFile "%[2]s/server.crt"
SSLCertificateKeyFile "%[2]s/server.key"
SSLVerifyClient optional_no_ca
%s
Header always set X-Name "expr=%%{base64:%%{SSL_CLIENT_S_DN}}"
`, address, dir, option)
			return b.String()
		}, "apache2", "-DFOREGROUND", "-f") {
			text, err := base64.StdEncoding.DecodeString(resp.Header.Get("X-Name"))
			if err != nil || len(text) == 0 {
				t.Fatalf("got %v, %q of %v", err, text, resp.Header)
			}
			hold(t, "SSL_CLIENT_S_DN "+option, string(text), list, i, want)
		}
	}
}

func pemOf(t *testing.T, c tls.Certificate) (key, certificate string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}))
}
