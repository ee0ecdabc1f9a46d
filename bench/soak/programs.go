//go:build unix

package soak

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-171ab058/popauth/examples/proxies"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// ErrMissing is the error of a program that is not installed.
var ErrMissing = errors.New("not installed")

// Programs tells where nginx and redis-server are installed.
func Programs() (nginx, redisServer string, err error) {
	nginx, err = proxies.Find("nginx")
	if err != nil {
		err = fmt.Errorf("nginx: %w (apt-get, dnf or brew install nginx)", ErrMissing)
	}
	redisServer, missing := exec.LookPath("redis-server")
	if missing != nil {
		err = errors.Join(err, fmt.Errorf("redis-server: %w (apt-get install redis-server, brew install redis)", ErrMissing))
	}
	return nginx, redisServer, err
}

// frame is what nginx.conf needs to run apart from the system's nginx. Unlike that of examples/proxies it has a master
// process, which alone can start new workers while the old ones go on.
const frame = `daemon off;
worker_processes 1;
pid ${DIR}/pid;
error_log ${DIR}/log;
events { worker_connections 2048; }
http {
	access_log off;
	client_body_temp_path ${DIR}/body; proxy_temp_path ${DIR}/proxy;
	fastcgi_temp_path ${DIR}/fastcgi; uwsgi_temp_path ${DIR}/uwsgi; scgi_temp_path ${DIR}/scgi;
	include ${DIR}/nginx.conf;
}
`

// startNginx runs nginx.conf of examples/proxies as it stands, with several servers behind it.
func (w *world) startNginx(path string, authority *popauthtest.CA) error {
	dir := filepath.Join(w.dir, "nginx")
	own := authority.Server()
	key, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err != nil {
		return err
	}
	values := strings.NewReplacer("${LISTEN}", w.proxy, "${CERTS}", dir, "${PROXY_SECRET}", w.secret,
		"${API}", w.apis[0].address+";\n\tserver "+w.apis[1].address) // "server ${API};" becomes two lines
	head := ""
	if os.Getuid() == 0 { // the workers would be somebody who may not enter the directory
		me, err := user.Current()
		if err != nil {
			return err
		}
		head = "user " + me.Username + ";\n"
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"server.crt":     pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Certificate[0]}),
		"server.key":     pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		"clients-ca.crt": w.clients.PEM(),
		"nginx.conf":     []byte(values.Replace(proxies.Configuration("nginx.conf"))),
		"frame":          []byte(head + strings.ReplaceAll(frame, "${DIR}", dir)),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return err
		}
	}
	command := exec.Command(path, "-p", dir, "-c", filepath.Join(dir, "frame"), "-e", filepath.Join(dir, "log")) //nolint:gosec // looked up
	// Not to be read before the process has ended.
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	command.WaitDelay = time.Second
	if w.nginx, err = w.group.start(command); err != nil {
		return err
	}
	err = within(20*time.Second, w.nginx, func() error {
		conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", w.proxy,
			&tls.Config{RootCAs: authority.Pool(), MinVersion: tls.VersionTLS12})
		if err != nil {
			return err
		}
		return conn.Close()
	})
	if err != nil {
		return errors.Join(err, w.nginx.end(syscall.SIGKILL), errors.New(output.String()))
	}
	return nil
}

// startRedis starts one that keeps everything in memory, as it comes.
func (w *world) startRedis() error {
	args := []string{"--port", "0", "--unixsocket", w.socket(), "--save", "", "--dir", w.dir}
	command := exec.Command(w.redisProgram, args...) //nolint:gosec // looked up
	var err error
	if w.redis, err = w.group.start(command); err != nil {
		return err
	}
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: w.socket(), ContextTimeoutEnabled: true, MaxRetries: -1})
	defer func() { _ = client.Close() }() // it has said what it knows
	return within(20*time.Second, w.redis, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return client.Ping(ctx).Err()
	})
}

func (w *world) socket() string { return filepath.Join(w.dir, "redis.sock") }

// within asks until there is no error, or until the process has ended.
func within(limit time.Duration, p *process, ready func() error) error {
	for end := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended at once: %w", filepath.Base(p.command.Path), err)
		default:
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s is not ready within %v: %w", filepath.Base(p.command.Path), limit, err)
		}
	}
}

// freeAddress is one that was free a moment ago.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
