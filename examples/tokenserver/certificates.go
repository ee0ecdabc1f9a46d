package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log"
	"os"
	"path/filepath"

	"github.com/seed-171ab058/popauth/popauthtest"
)

// certificates are the server's own, and the authorities that may name clients.
type certificates struct {
	server      tls.Certificate
	authorities *x509.CertPool
	dir, caFile string // of throw-away ones
	remove      bool
}

func (c *certificates) close() {
	if c.remove {
		_ = os.RemoveAll(c.dir)
	}
}

func readCertificates(cert, key, clientCA string) (*certificates, error) {
	server, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	authorities, err := pool(clientCA)
	return &certificates{server: server, authorities: authorities}, err
}

// program lets a program use popauthtest, which is made for tests.
type program struct{}

func (program) Helper()                      {}
func (program) Cleanup(func())               {}
func (program) Fatalf(f string, args ...any) { log.Fatalf(f, args...) }

// makeCertificates makes an authority, and certificates for the clients of the sample file.
func makeCertificates(dir string) (c *certificates, err error) {
	c = &certificates{dir: dir}
	if dir == "" {
		if c.dir, err = os.MkdirTemp("", "popauth-tokenserver-"); err != nil {
			return nil, err
		}
		c.remove = true
	}
	ca := popauthtest.NewCA(program{})
	c.server, c.authorities = ca.Server(), ca.Pool()
	c.caFile = filepath.Join(c.dir, "ca.crt")
	_, _, batch := ca.Client("orders-batch").WritePEM(c.dir)
	_, _, till := ca.Client("till-7", func(x *x509.Certificate) { x.DNSNames = []string{"till-7.example.com"} }).WritePEM(c.dir)
	if err := errors.Join(os.WriteFile(c.caFile, ca.PEM(), 0o600), batch, till); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}
