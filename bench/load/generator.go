package load

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-171ab058/popauth/bench"
)

// generatorSettings say where requests go, and which.
type generatorSettings struct {
	Own       identity
	Authority []byte // the servers' certificate, in DER
	Targets   []target
}

type target struct {
	Address     string
	Tokens      []string
	Connections int
	New         bool // a connection for each request
}

// generate is the process that sends the requests. Its commands are the number of a target and for how long; it answers
// with the number of requests and the time in nanoseconds.
func generate(in *bufio.Reader) error {
	var s generatorSettings
	if err := settingsFrom(in, &s); err != nil {
		return err
	}
	own, err := s.Own.certificate()
	if err != nil {
		return err
	}
	authority, err := x509.ParseCertificate(s.Authority)
	if err != nil {
		return err
	}
	config := &tls.Config{
		RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil },
	}
	config.RootCAs.AddCert(authority)
	var all [][]*connection
	for _, t := range s.Targets {
		connections, err := t.connect(config)
		if err != nil {
			return err
		}
		all = append(all, connections)
	}
	fmt.Println("ready")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		var which int
		var span time.Duration
		if _, err := fmt.Sscan(line, &which, (*int64)(&span)); err != nil || which < 0 || which >= len(all) {
			return fmt.Errorf("command %q", strings.TrimSpace(line))
		}
		n, took, err := slice(all[which], span)
		if err != nil {
			return err
		}
		fmt.Println(n, took.Nanoseconds())
	}
}

// connection is one that is kept open, with its share of the requests. It reads no more of an answer than it must: what
// it does not do itself, the server can do meanwhile.
type connection struct {
	*tls.Conn
	requests [][]byte
	next     int
	answer   []byte
	dial     func() (*tls.Conn, error) // nil: the connection is kept
}

func (t target) connect(config *tls.Config) ([]*connection, error) {
	var all []*connection
	for i := range t.Connections {
		dial := func() (*tls.Conn, error) { return tls.Dial("tcp", t.Address, config) }
		c, err := dial()
		if err != nil {
			return nil, err
		}
		own := &connection{Conn: c, answer: make([]byte, 4096)}
		if t.New {
			own.dial = dial
		}
		for j, token := range t.Tokens {
			if j%t.Connections == i || len(t.Tokens) < t.Connections {
				own.requests = append(own.requests, []byte("GET "+bench.Path+" HTTP/1.1\r\nHost: api.example.com\r\n"+
					"User-Agent: load\r\nAccept: */*\r\nAuthorization: Bearer "+token+"\r\n\r\n"))
			}
		}
		all = append(all, own)
	}
	return all, nil
}

var errAnswer = errors.New("not 204")

// ask sends one request and waits for its answer, which has no body.
func (c *connection) ask() (err error) {
	if c.dial != nil {
		_ = c.Close() // the one before
		if c.Conn, err = c.dial(); err != nil {
			return err
		}
	}
	if _, err := c.Write(c.requests[c.next%len(c.requests)]); err != nil {
		return err
	}
	c.next++
	n := 0
	for !bytes.HasSuffix(c.answer[:n], []byte("\r\n\r\n")) {
		if n == len(c.answer) {
			return errAnswer
		}
		more, err := c.Read(c.answer[n:])
		if n += more; err != nil {
			return err
		}
	}
	if !bytes.HasPrefix(c.answer[:n], []byte("HTTP/1.1 204 ")) {
		return fmt.Errorf("%w: %.60q", errAnswer, c.answer[:n])
	}
	return nil
}

// slice keeps all connections busy for a while.
func slice(all []*connection, span time.Duration) (n int64, took time.Duration, err error) {
	var count atomic.Int64
	var busy sync.WaitGroup
	var once sync.Once
	start := time.Now()
	for _, c := range all {
		busy.Go(func() {
			for time.Since(start) < span {
				if e := c.ask(); e != nil {
					once.Do(func() { err = e })
					return
				}
				count.Add(1)
			}
		})
	}
	busy.Wait()
	return count.Load(), time.Since(start), err
}
