package popclient_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

const ordersID = "spiffe://example.org/orders"

// mesh is an authorization server with a host's name, and an API with a SPIFFE ID, at one address.
type mesh struct {
	testing.TB
	names, ids, otherIDs *popauthtest.CA
	as, api              atomic.Pointer[tls.Certificate]
	withdrawn            atomic.Bool
	served, resumed      atomic.Int64 // by the API
	server               *httptest.Server
}

func newMesh(t *testing.T) *mesh {
	t.Helper()
	m := &mesh{TB: t, names: popauthtest.NewCA(t), ids: popauthtest.NewCA(t), otherIDs: popauthtest.NewCA(t)}
	as := m.names.Server("as.example.com")
	m.as.Store(&as)
	m.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Host, "as.example.com") {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"access_token":"t","token_type":"Bearer","expires_in":3600}`)
			return
		}
		m.served.Add(1)
		if r.TLS.DidResume {
			m.resumed.Add(1)
		}
	}))
	m.server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	m.server.TLS.GetCertificate = func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if h.ServerName == "as.example.com" {
			return m.as.Load(), nil
		}
		return m.api.Load(), nil
	}
	m.server.StartTLS()
	t.Cleanup(m.server.Close)
	return m
}

func (m *mesh) options() popclient.MutualTLSOptions {
	caller := m.names.Client("job")
	return popclient.MutualTLSOptions{
		TokenURL: "https://as.example.com/token", ClientID: "job", Certificate: popclient.StaticCertificate(caller.Certificate),
		RootCAs: m.names.Pool(), ServerIDs: map[string]string{"orders.internal": ordersID},
		ServerRoots: func(*http.Request, *x509.Certificate) (*x509.CertPool, error) {
			if m.withdrawn.Load() {
				return m.otherIDs.Pool(), nil
			}
			return m.ids.Pool(), nil
		},
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{ClientSessionCache: tls.NewLRUClientSessionCache(0)},
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, m.server.Listener.Addr().String())
			},
		},
	}
}

// service is a certificate for servers with URIs.
func service(tb testing.TB, ca *popauthtest.CA, more func(*x509.Certificate), ids ...string) *tls.Certificate {
	tb.Helper()
	c := ca.Client("", func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		for _, id := range ids {
			u, err := url.Parse(id)
			if err != nil {
				tb.Fatal(err)
			}
			c.URIs = append(c.URIs, u)
		}
		if more != nil {
			more(c)
		}
	}).Certificate
	return &c
}

func hostNamed(host string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.DNSNames = []string{host} }
}

// get returns the error of one request, on a connection of its own.
func (m *mesh) get(c *popclient.MutualTLS, to string) error {
	c.CloseIdleConnections()
	resp, err := (&http.Client{Transport: c, Timeout: 20 * time.Second}).Get(to)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.Body.Close()
}

func TestServerIDs(t *testing.T) {
	m := newMesh(t)
	for _, tt := range []struct {
		name, to string
		api      *tls.Certificate
		options  func(*popclient.MutualTLSOptions)
		says     string // in the error; empty: none
	}{
		{name: "its ID", api: service(t, m.ids, nil, ordersID)},
		{name: "a name in capitals", to: "https://ORDERS.internal/", api: service(t, m.ids, nil, ordersID)},
		{name: "another ID", api: service(t, m.ids, nil, ordersID+"2"), says: ordersID + `2"`},
		{name: "no ID", api: service(t, m.ids, hostNamed("orders.internal")), says: "want that ID alone"},
		{name: "two IDs", api: service(t, m.ids, nil, ordersID, ordersID+"2"), says: "want that ID alone"},
		{name: "another authority", api: service(t, m.otherIDs, nil, ordersID), says: "unknown authority"},
		{name: "an authority of names", api: service(t, m.names, hostNamed("orders.internal"), ordersID),
			says: "unknown authority"},
		{name: "expired", api: service(t, m.ids, func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(-time.Minute)
		}, ordersID), says: "outside its period"},
		{name: "for clients", api: service(t, m.ids, func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}, ordersID), says: "usage"},
		{name: "an ID where a name is to be", to: "https://other.internal/", api: service(t, m.ids, nil, ordersID), says: "x509"},
		{name: "an authority of IDs where a name is to be", to: "https://other.internal/",
			api: service(t, m.ids, hostNamed("other.internal"), ordersID), says: "unknown authority"},
		{name: "a name", to: "https://other.internal/", api: service(t, m.names, hostNamed("other.internal"))},
		{name: "another's name", to: "https://other.internal/", api: service(t, m.names, hostNamed("third.internal")), says: "x509"},
		{name: "an address", to: "https://127.0.0.1/", api: service(t, m.ids, nil, ordersID), says: "called by an address"},
		{name: "no roots", api: service(t, m.ids, nil, ordersID), says: "has no roots", options: func(o *popclient.MutualTLSOptions) {
			o.ServerRoots = func(*http.Request, *x509.Certificate) (*x509.CertPool, error) { return nil, nil }
		}},
		{name: "an outage", api: service(t, m.ids, nil, ordersID), says: "no bundle", options: func(o *popclient.MutualTLSOptions) {
			o.ServerRoots = func(*http.Request, *x509.Certificate) (*x509.CertPool, error) { return nil, errors.New("no bundle") }
		}},
		{name: "as before, without IDs", api: service(t, m.ids, nil, ordersID), says: "x509", options: func(o *popclient.MutualTLSOptions) {
			o.ServerIDs, o.ServerRoots = nil, nil
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m.api.Store(tt.api)
			o := m.options()
			if tt.options != nil {
				tt.options(&o)
			}
			c, err := popclient.NewMutualTLS(o)
			if err != nil {
				t.Fatal(err)
			}
			defer c.CloseIdleConnections()
			before, to := m.served.Load(), tt.to
			if to == "" {
				to = "https://orders.internal/"
			}
			err = m.get(c, to)
			if tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("got %v, want %q", err, tt.says)
			}
			if served := m.served.Load() > before; served != (tt.says == "") {
				t.Errorf("the API was asked: %v", served)
			}
		})
	}
}

// The authorization server is verified by its name as before.
func TestServerIDsElsewhere(t *testing.T) {
	m := newMesh(t)
	m.as.Store(service(t, m.ids, hostNamed("as.example.com"), ordersID))
	m.api.Store(service(t, m.ids, nil, ordersID))
	c, err := popclient.NewMutualTLS(m.options())
	if err != nil {
		t.Fatal(err)
	}
	if err := m.get(c, "https://orders.internal/"); err == nil || m.served.Load() > 0 {
		t.Errorf("got %v, and the API was asked %d times", err, m.served.Load())
	}
}

// A session is resumed only as long as its server would be accepted anew.
func TestServerIDsResumed(t *testing.T) {
	m := newMesh(t)
	m.api.Store(service(t, m.ids, nil, ordersID))
	c, err := popclient.NewMutualTLS(m.options())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := m.get(c, "https://orders.internal/"); err != nil {
			t.Fatal(err)
		}
	}
	if got := m.resumed.Load(); got != 1 {
		t.Fatalf("got %d resumed sessions, want 1", got)
	}
	m.withdrawn.Store(true)
	if err := m.get(c, "https://orders.internal/"); err == nil || m.served.Load() != 2 {
		t.Errorf("got %v, and %d requests, want an error, and 2", err, m.served.Load())
	}
}

// The options are read once, and the clock is that of the Transport's TLS settings.
func TestServerIDsOwnOptions(t *testing.T) {
	m := newMesh(t)
	m.api.Store(service(t, m.ids, hostNamed("orders.internal"), ordersID))
	o := m.options()
	c, err := popclient.NewMutualTLS(o)
	if err != nil {
		t.Fatal(err)
	}
	o.ServerIDs["orders.internal"] = ordersID + "2"
	if err := m.get(c, "https://orders.internal/"); err != nil {
		t.Errorf("a map that was changed afterwards: %v", err)
	}
	for _, host := range []string{"orders.internal", "other.internal"} {
		if host == "other.internal" {
			m.api.Store(service(t, m.names, hostNamed(host)))
		}
		o = m.options()
		o.Transport.TLSClientConfig.Time = func() time.Time { return time.Now().AddDate(100, 0, 0) }
		if c, err = popclient.NewMutualTLS(o); err != nil {
			t.Fatal(err)
		}
		before := m.served.Load()
		if err := m.get(c, "https://"+host+"/"); err == nil || m.served.Load() != before {
			t.Errorf("%s, in a hundred years: got %v, and the API was asked %d times", host, err, m.served.Load()-before)
		}
	}
}

func TestServerIDsProblems(t *testing.T) {
	m := newMesh(t)
	ids := func(host, id string) func(*popclient.MutualTLSOptions) {
		return func(o *popclient.MutualTLSOptions) { o.ServerIDs = map[string]string{host: id} }
	}
	config := func(c *tls.Config) func(*popclient.MutualTLSOptions) {
		return func(o *popclient.MutualTLSOptions) { o.Transport.TLSClientConfig = c }
	}
	for name, change := range map[string]func(*popclient.MutualTLSOptions){
		"no roots": func(o *popclient.MutualTLSOptions) { o.ServerRoots = nil },
		"no IDs":   func(o *popclient.MutualTLSOptions) { o.ServerIDs = nil },
		"no host":  ids("", ordersID), "a port": ids("orders.internal:443", ordersID), "an address": ids("127.0.0.1", ordersID),
		"an IPv6 address": ids("::1", ordersID), "capitals": ids("Orders.internal", ordersID),
		"a dot at the end": ids("orders.internal.", ordersID), "a pattern": ids("*.internal", ordersID),
		"letters beyond ASCII": ids("bücher.internal", ordersID), "a user": ids("a@orders.internal", ordersID),
		"a query": ids("orders.internal?a", ordersID), "a tab": ids("orders.internal\t", ordersID),
		"a backslash": ids(`orders.internal\a`, ordersID), "an empty label": ids("orders..internal", ordersID),
		"no ID": ids("orders.internal", ""), "a trust domain": ids("orders.internal", "spiffe://example.org"),
		"another URI":      ids("orders.internal", "https://example.org/orders"),
		"VerifyConnection": config(&tls.Config{VerifyConnection: func(tls.ConnectionState) error { return nil }}),
		"VerifyPeerCertificate": config(&tls.Config{
			VerifyPeerCertificate: func([][]byte, [][]*x509.Certificate) error { return nil }, //nolint:gosec // G123: refused
		}),
		"ServerName":         config(&tls.Config{ServerName: "orders.internal"}),
		"InsecureSkipVerify": config(&tls.Config{InsecureSkipVerify: true}), //nolint:gosec // G402: refused
	} {
		t.Run(name, func(t *testing.T) {
			o := m.options()
			change(&o)
			if _, err := popclient.NewMutualTLS(o); err == nil {
				t.Error("got nil, want an error")
			}
		})
	}
}
