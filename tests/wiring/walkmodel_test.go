package wiring_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c" //nolint:staticcheck // what programs still run

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
)

// walker is what a plain reading of the documentation says about a request on its way through handlers.
type walker struct {
	caller
	connection string   // whose certificate it has; "" for none
	offer      string   // to go on with another protocol
	preface    bool     // it is the beginning of HTTP/2, and no request
	asked      bool     // somebody has asked for the certificate
	found      string   // and found this one
	removed    []string // what those have found who have removed the proxy's headers, on a connection taken over too
	gone       bool     // they have, from this request
	foreign    bool     // who took the connection over did so inside of somebody who had asked, about another request
	timed      bool     // no connection can be taken over any more
	who        string   // a Guard has let pass
	decided    bool     // the Guard with a source of its own has
}

// inside is a further request on a connection that was taken over by the handler that k came to.
func (k *walker) inside(c caller) *walker {
	return &walker{caller: c, connection: k.connection, removed: k.removed, foreign: k.foreign || k.asked}
}

// ask is what the source finds: by the proxy what its header says, else the connection's. Who has removed the proxy's
// secret has also seen whether there was one. What comes on a connection that was taken over is written by the client, and
// the peer is the proxy: no header counts there, whoever asks.
func (k *walker) ask() (found string, ok bool) {
	switch {
	case k.foreign && !k.asked:
		return "", false
	case k.direct || k.gone:
		for _, f := range k.removed {
			if k.connection != "" && f != k.connection {
				return "", false
			}
		}
		return k.connection, true
	default:
		return k.certificate, true
	}
}

// inherited is the certificate for a handler without a source; not ok where what was asked for is another request's.
func (k *walker) inherited() (found string, ok bool) {
	switch {
	case k.asked:
		return k.found, true
	case k.foreign:
		return "", false
	}
	return k.connection, true
}

type verdict int

const (
	passes verdict = iota
	refuses
	takes // the connection over
)

// pass is what each handler of popauth does that lets a request pass: no offer of HTTP/2 gets any further.
func (k *walker) pass() verdict {
	if k.offer == "h2c" {
		k.offer = ""
	}
	return passes
}

func (k *walker) extract(found string) verdict {
	k.asked, k.found, k.gone, k.removed = true, found, true, append(k.removed, found)
	return k.pass()
}

// station is a handler and what it does to a request by the plain reading.
type station struct {
	name    string
	handler func(http.Handler) http.Handler
	model   func(*walker) verdict
	takes   bool // connections over
}

func (w *walk) stations() []station {
	through := func(*walker) verdict { return passes }
	extract := func(k *walker) verdict {
		if found, ok := k.ask(); ok && !k.preface {
			return k.extract(found)
		}
		return refuses
	}
	stage := func(k *walker) verdict {
		if k.decided { // it hands on what it has found, whatever a handler in between has
			k.found = k.token
			return k.pass()
		}
		found, ok := k.ask()
		if !ok || k.preface || k.token == "" || k.token != found {
			return refuses
		}
		k.who, k.decided = k.token, true
		return k.extract(found)
	}
	route := func(k *walker) verdict {
		if c, ok := k.inherited(); !ok || k.preface || c == "" || c == "thief" {
			return refuses
		}
		return passes
	}
	prefix := func(k *walker) verdict {
		if k.preface {
			return refuses
		}
		return passes
	}
	require := func(k *walker) verdict {
		if route(k) == refuses {
			return refuses
		}
		k.found, _ = k.inherited()
		k.asked = true
		return k.pass()
	}
	requireSource := func(k *walker) verdict {
		if c, ok := k.ask(); !ok || k.preface || c == "" || c == "thief" {
			return refuses
		}
		return extract(k)
	}
	inner := func(k *walker) verdict {
		if c, ok := k.inherited(); !ok || k.preface || k.token == "" || k.token != c {
			return refuses
		}
		k.who = k.token
		return k.pass()
	}
	anyKnown := clientcert.AnyOf(w.known...)
	return []station{
		{"ClientCertificate", popauth.ClientCertificate(w.source), extract, false},
		{"Authenticate", w.own.Authenticate, stage, false},
		{"Confirm", w.own.Confirm, stage, false},
		{"Authorize", w.own.Authorize(popauth.Scope("orders.read")), stage, false},
		{"RequireCertificate", clientcert.Require(nil, anyKnown), require, false},
		{"RequireCertificate by the source", clientcert.Require(w.source, anyKnown), requireSource, false},
		{"CheckCertificate", checking(anyKnown), route, false},
		{"inner Guard", w.plain.Confirm, inner, false},
		{"h2c of x/net", xNet, func(k *walker) verdict { return k.taking(k.offer == "h2c" || k.preface) }, true},
		{"a server of its own", tunnel, func(k *walker) verdict { return k.taking(k.offer == "tunnel") }, true},
		{"StripPrefix", func(next http.Handler) http.Handler { return http.StripPrefix("/api", next) }, prefix, false},
		{"TimeoutHandler", func(next http.Handler) http.Handler { return http.TimeoutHandler(next, time.Minute, "") },
			func(k *walker) verdict { k.timed = true; return passes }, false},
		{"copy of r.TLS", copying, through, false},
		{"clone", cloning, through, false},
	}
}

// taking: behind TimeoutHandler nobody can.
func (k *walker) taking(offered bool) verdict {
	switch {
	case !offered:
		return passes
	case k.timed:
		return refuses
	}
	return takes
}

func checking(matches ...clientcert.Match) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := clientcert.Check(r, nil, matches...); err != nil {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

func copying(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		own := *r
		if r.TLS != nil {
			state := *r.TLS
			own.TLS = &state
		}
		next.ServeHTTP(w, &own)
	})
}

func cloning(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(w, r.Clone(r.Context())) })
}

func xNet(next http.Handler) http.Handler {
	return h2c.NewHandler(next, &http2.Server{}) //nolint:staticcheck // what programs still run
}

// tunnel takes a connection over when it is asked to, and serves what comes then by net/http's own server, which speaks
// HTTP/2 without TLS, too, with the context of the request that asked.
func tunnel(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "tunnel" {
			next.ServeHTTP(w, r)
			return
		}
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			w.WriteHeader(http.StatusNotImplemented)
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tunnel\r\n\r\n")
		only := &oneConn{Conn: c, ended: make(chan struct{})}
		s := &http.Server{
			Handler: next, ReadHeaderTimeout: time.Minute, Protocols: new(http.Protocols),
			BaseContext: func(net.Listener) context.Context { return r.Context() },
		}
		s.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				only.once.Do(func() { close(only.ended) })
			}
		}
		s.Protocols.SetHTTP1(true)
		s.Protocols.SetUnencryptedHTTP2(true)
		_ = s.Serve(only)
	})
}

// oneConn is a listener that accepts one connection, and ends with it.
type oneConn struct {
	net.Conn
	accepted bool
	once     sync.Once
	ended    chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	if !l.accepted {
		l.accepted = true
		return l.Conn, nil
	}
	<-l.ended
	return nil, errors.New("it was the only one")
}

func (l *oneConn) Addr() net.Addr { return l.LocalAddr() }

func (l *oneConn) Close() error { return nil }
