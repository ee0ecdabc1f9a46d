// Package proxies has a minimal safe configuration of each proxy that popauth's tests run, and starts the proxies on
// loopback, in the foreground, for those tests and for behind-nginx. To use one, copy its configuration and read
// docs/proxies.md.
package proxies

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"embed"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

//go:embed nginx.conf apache.conf haproxy.cfg haproxy-rfc9440.cfg Caddyfile traefik.yaml traefik-static.yaml envoy.yaml
var configurations embed.FS

// Configuration returns one of the files of this directory.
func Configuration(file string) string {
	text, err := configurations.ReadFile(file)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// Settings are the parameters of a configuration.
type Settings struct {
	API           string          // where the API listens: host:port, for nginx also unix:/path
	Auth          string          // where the authentication service listens, for a Configuration with one: host:port
	Secret        string          // shared with the API, or with that service
	Server        tls.Certificate // of the proxy
	Clients       []byte          // the authority of the callers, in PEM
	Configuration string          // instead of the file of the same name as the proxy's; empty: that file
	Static        string          // of Traefik, instead of traefik-static.yaml; empty: that file
	Program       string          // the proxy's executable; empty: the one that is installed
	HTTP3         bool            // Caddy listens by UDP, too; the others' files say so themselves
}

// A program is a proxy: how it is called, and the frame that its configuration needs to run apart from the system's.
type program struct {
	name  string   // of the executable
	file  string   // of the configuration
	args  []string // ${DIR} is the directory of this run
	frame string   // a file "frame" beside the configuration
	text  bool     // reads no environment: its ${…} are replaced
	slow  bool     // takes seconds to end when asked to; killing it does no harm
}

var programs = map[string]program{
	"nginx": {
		name: "nginx", file: "nginx.conf", text: true, args: []string{"-p", "${DIR}", "-c", "${DIR}/frame", "-e", "${DIR}/log"},
		frame: `daemon off;
master_process off;
pid ${DIR}/pid;
events { }
http {
	access_log off;
	client_body_temp_path ${DIR}/body; proxy_temp_path ${DIR}/proxy;
	fastcgi_temp_path ${DIR}/fastcgi; uwsgi_temp_path ${DIR}/uwsgi; scgi_temp_path ${DIR}/scgi;
	include ${DIR}/nginx.conf;
}
`,
	},
	"apache": {
		name: "apache2", file: "apache.conf", args: []string{"-d", "${DIR}", "-f", "${DIR}/frame", "-E", "${DIR}/log", "-D", "FOREGROUND"},
		frame: `PidFile ${DIR}/pid
ErrorLog ${DIR}/log
ServerName localhost
Mutex sem
User www-data
Group www-data
StartServers 3
ThreadsPerChild 64
MaxSpareThreads 250
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule headers_module /usr/lib/apache2/modules/mod_headers.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
LoadModule socache_shmcb_module /usr/lib/apache2/modules/mod_socache_shmcb.so
LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so
LoadModule http2_module /usr/lib/apache2/modules/mod_http2.so
SSLSessionCache shmcb:${DIR}/sessions(512000)
Include ${DIR}/apache.conf
`,
	},
	"haproxy": {name: "haproxy", file: "haproxy.cfg", args: []string{"-db", "-f", "${DIR}/haproxy.cfg"}},
	"haproxy-rfc9440": {
		name: "haproxy", file: "haproxy-rfc9440.cfg", args: []string{"-db", "-f", "${DIR}/haproxy-rfc9440.cfg"},
	},
	"caddy": {
		name: "caddy", file: "Caddyfile", args: []string{"run", "--config", "${DIR}/frame", "--adapter", "caddyfile"},
		frame: `{
	admin off
	auto_https off
	default_bind 127.0.0.1
	servers {
		protocols h1 h2
	}
}
import ${DIR}/Caddyfile
`,
	},
	"traefik": {
		name: "traefik", file: "traefik.yaml", text: true, slow: true, args: []string{"--configFile=${DIR}/traefik-static.yaml"},
	},
	"envoy": {
		name: "envoy", file: "envoy.yaml", text: true, args: []string{
			"-c", "${DIR}/envoy.yaml", "--disable-hot-restart", "--concurrency", "1", "--log-path", "${DIR}/log", "-l", "warn",
		},
	},
}

// ErrMissing is the error of a proxy that is not installed.
var ErrMissing = errors.New("not installed")

// Find tells where a proxy is installed: nginx, apache, haproxy, haproxy-rfc9440, caddy,
// traefik or envoy.
func Find(ingress string) (string, error) {
	p, ok := programs[ingress]
	if !ok {
		return "", fmt.Errorf("no proxy called %q", ingress)
	}
	path, err := exec.LookPath(p.name)
	for _, dir := range []string{"/usr/sbin/", "/usr/local/sbin/"} {
		if err != nil { // not on everybody's path
			path, err = exec.LookPath(dir + p.name)
		}
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", p.name, ErrMissing)
	}
	return path, nil
}

// Proxy is a running proxy.
type Proxy struct {
	Address string // where callers connect; its certificate says localhost
	slow    bool
	dir     string
	command *exec.Cmd
	ended   chan struct{}
	output  bytes.Buffer // not to be read before ended
}

// Start runs a proxy until Stop. It is up when Start returns.
func Start(ingress string, s Settings) (*Proxy, error) {
	path := s.Program
	if path == "" {
		var err error
		if path, err = Find(ingress); err != nil {
			return nil, err
		}
	}
	// Another process may take the port between its choice and its use.
	var err error
	for range 5 {
		var p *Proxy
		if p, err = start(path, programs[ingress], s); err == nil {
			return p, nil
		}
	}
	return nil, err
}

func start(path string, program program, s Settings) (p *Proxy, err error) {
	p = &Proxy{ended: make(chan struct{}), slow: program.slow}
	if p.Address, err = freeAddress(); err != nil {
		return nil, err
	}
	if p.dir, err = os.MkdirTemp("", "popauth-proxy-"); err != nil {
		return nil, err
	}
	if err = p.write(program, s); err != nil {
		return nil, errors.Join(err, os.RemoveAll(p.dir))
	}
	var args []string
	for _, a := range program.args {
		args = append(args, strings.ReplaceAll(a, "${DIR}", p.dir))
	}
	p.command = exec.Command(path, args...) //nolint:gosec // one of the programs above
	p.command.Dir = p.dir
	p.command.WaitDelay = time.Second
	p.command.Stdout, p.command.Stderr = &p.output, &p.output
	listen := p.Address
	if program.name == "caddy" { // compares Host with the handshake's server name
		listen = strings.Replace(listen, "127.0.0.1", "localhost", 1)
	}
	p.command.Env = append(os.Environ(), "DIR="+p.dir, "LISTEN="+listen, "API="+s.API, "AUTH="+s.Auth,
		"CERTS="+p.dir, "PROXY_SECRET="+s.Secret, "HOME="+p.dir, "XDG_CONFIG_HOME="+p.dir, "XDG_DATA_HOME="+p.dir)
	if err = p.command.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(p.dir))
	}
	go func() {
		_ = p.command.Wait()
		close(p.ended)
	}()
	if err = p.awaitUp(s.Server); err != nil {
		text, _ := os.ReadFile(filepath.Join(p.dir, "log"))
		p.Stop()
		return nil, fmt.Errorf("%s: %w\n%s%s", program.name, err, p.output.Bytes(), text)
	}
	return p, nil
}

// write puts the configuration, its frame and the certificates into the directory of the run.
func (p *Proxy) write(program program, s Settings) error {
	key, err := x509.MarshalPKCS8PrivateKey(s.Server.PrivateKey)
	if err != nil {
		return err
	}
	var cert []byte
	for _, der := range s.Server.Certificate {
		cert = append(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	text := s.Configuration
	if text == "" {
		text = Configuration(program.file)
	}
	static := s.Static
	if static == "" {
		static = Configuration("traefik-static.yaml")
	}
	if program.text {
		values := p.values(s)
		text, static = values.Replace(text), values.Replace(static)
	}
	frame := strings.ReplaceAll(program.frame, "${DIR}", p.dir)
	if s.HTTP3 {
		frame = strings.Replace(frame, "protocols h1 h2", "protocols h1 h2 h3", 1)
	}
	for name, content := range map[string][]byte{
		"server.crt": cert, "server.key": keyPEM, "server.pem": append(cert[:len(cert):len(cert)], keyPEM...),
		"clients-ca.crt": s.Clients,
		program.file:     []byte(text), "traefik-static.yaml": []byte(static),
		"frame": []byte(frame),
	} {
		if err := os.WriteFile(filepath.Join(p.dir, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// values are the parameters of a configuration, for a program that doesn't read them from its environment.
func (p *Proxy) values(s Settings) *strings.Replacer {
	all := []string{
		"${LISTEN}", p.Address, "${API}", s.API, "${AUTH}", s.Auth,
		"${CERTS}", p.dir, "${CONF}", p.dir, "${HOST}", "localhost", "${PROXY_SECRET}", s.Secret,
	}
	for name, address := range map[string]string{"LISTEN": p.Address, "API": s.API, "AUTH": s.Auth} {
		host, port, _ := net.SplitHostPort(address)
		all = append(all, "${"+name+"_HOST}", host, "${"+name+"_PORT}", port)
	}
	return strings.NewReplacer(all...)
}

// awaitUp waits for a handshake with the proxy's own certificate: another program at that port has another.
func (p *Proxy) awaitUp(server tls.Certificate) error {
	config := &tls.Config{
		InsecureSkipVerify: true, //nolint:gosec // the certificate is compared below, byte for byte
		ServerName:         "localhost",
		VerifyConnection: func(state tls.ConnectionState) error {
			if !bytes.Equal(state.PeerCertificates[0].Raw, server.Certificate[0]) {
				return errors.New("another server")
			}
			return nil
		},
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		select {
		case <-p.ended:
			return errors.New("ended at once")
		default:
		}
		if conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", p.Address, config); err == nil {
			_ = conn.Close() // it is up, however the proxy ends this
			return nil
		}
	}
	return errors.New("not up within 20 s")
}

// Stop ends the proxy, and removes its files.
func (p *Proxy) Stop() {
	if p.slow || p.command.Process.Signal(syscall.SIGTERM) != nil {
		_ = p.command.Process.Kill()
	}
	select {
	case <-p.ended:
	case <-time.After(5 * time.Second):
		_ = p.command.Process.Kill()
		<-p.ended
	}
	_ = os.RemoveAll(p.dir)
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
