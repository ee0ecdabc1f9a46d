package wiring_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

const proxySecret = "what the proxy alone knows"

// walk is what all ways have in common: whose certificates and tokens there are, and the handler that is walked now.
type walk struct {
	*testing.T
	issuer      *popauthtest.Issuer
	ca          *popauthtest.CA
	clients     map[string]*popauthtest.Client
	tokens      map[string]string
	source      popauth.CertificateSource
	own, plain  *popauth.Guard
	known       []clientcert.Match // whose certificates routes are for: everybody's but the thief's
	now         atomic.Pointer[http.Handler]
	rows, wrong int
	came        map[string]int // how often, by outcome
}

func newWalk(t *testing.T) *walk {
	w := &walk{
		T: t, issuer: popauthtest.NewIssuer(t), ca: popauthtest.NewCA(t),
		clients: map[string]*popauthtest.Client{}, tokens: map[string]string{}, came: map[string]int{},
	}
	for _, name := range []string{"owner", "bob", "gateway"} {
		w.clients[name] = w.ca.Client(name)
		w.tokens[name] = w.issuer.Token(w.clients[name].Bound(), popauthtest.Claims{"sub": name, "scope": "orders.read"})
		w.known = append(w.known, clientcert.Thumbprint(w.clients[name].Thumbprint()))
	}
	w.clients["thief"] = popauthtest.SelfSigned(t, "thief")
	// By the secret alone, so that a client that comes without the proxy has the same address.
	w.source = byProxy(proxy.RFC9440(), proxy.TrustSecret("X-Proxy-Secret", proxySecret))
	guard := func(s popauth.CertificateSource) *popauth.Guard {
		o := w.issuer.Options()
		o.Certificate = s
		g, err := popauth.New(o)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	w.own, w.plain = guard(w.source), guard(nil)
	return w
}

// caller is a request on a connection of the proxy, which says whose certificate it has seen, or on the client's own.
type caller struct {
	token       string // whose; "" for none
	direct      bool   // not by the proxy
	certificate string // whose: in the proxy's header, or, direct, on the connection; "" for none
	forged      string // a header that the client has made up with the owner's certificate; "" for none
}

func (c caller) String() string {
	return fmt.Sprintf("token of %q, certificate of %q, direct %t, forged %q", c.token, c.certificate, c.direct, c.forged)
}

// viaProxy come one after the other on one connection. Each forged name is one that some software takes for the proxy's.
var viaProxy = []caller{
	{token: "owner", certificate: "owner"},
	{token: "owner", certificate: "thief"},
	{token: "owner", certificate: "thief", forged: "Client_cert"},
	{token: "owner", forged: "Client.Cert"},
	{},
	{token: "bob", certificate: "bob"},
	{token: "owner", certificate: "bob"},
	{token: "gateway"},
	{token: "owner", certificate: "owner"},
}

// direct have a connection each.
var direct = []caller{
	{direct: true, token: "owner", certificate: "owner"},
	{direct: true, token: "owner", certificate: "thief", forged: "Client-Cert"},
	{direct: true, token: "owner", forged: "Client-Cert"},
	{direct: true, forged: "Client-Cert"},
}

// header is what the request has.
func (w *walk) header(c caller) http.Header {
	h := http.Header{}
	if c.token != "" {
		h["Authorization"] = []string{"Bearer " + w.tokens[c.token]}
	}
	if !c.direct {
		h["X-Proxy-Secret"] = []string{proxySecret}
		if c.certificate != "" {
			h["Client-Cert"] = []string{clientCert(w.clients[c.certificate])}
		}
	}
	if c.forged != "" {
		h[c.forged] = []string{clientCert(w.clients["owner"])}
	}
	return h
}

// connection is whose certificate the connection has.
func (c caller) connection(overTLS bool) string {
	switch {
	case !overTLS:
		return ""
	case c.direct:
		return c.certificate
	}
	return "gateway"
}

// told answers with what a handler knows of its caller.
var told = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	who, found := "", ""
	if p, ok := popauth.FromContext(r.Context()); ok {
		who = p.Subject
	}
	if c, ok := popauth.CertificateFromContext(r.Context()); ok {
		found = c.Leaf.Subject.CommonName
	}
	seen := false
	for name := range r.Header {
		seen = seen || strings.HasPrefix(name, "Client") || name == "X-Proxy-Secret"
	}
	w.Header().Set("X-Told", fmt.Sprintf("token %q, certificate %q, headers %t", who, found, seen))
})

const refused = "refused"

func outcome(status int, h http.Header) string {
	if said := h.Get("X-Told"); said != "" && status == http.StatusOK {
		return said
	}
	if status < 400 {
		return fmt.Sprintf("%d without the handler", status)
	}
	return refused
}

// way is handlers, the first outermost.
type way []station

func (y way) String() string {
	var names []string
	for _, s := range y {
		names = append(names, s.name)
	}
	return strings.Join(names, " → ")
}

func (y way) handler() http.Handler {
	h := http.Handler(told)
	for _, s := range slices.Backward(y) {
		h = s.handler(h)
	}
	return h
}

// path is one that has what the handlers from the one given on take off.
func (y way) path(from int) string {
	p := "/orders"
	for _, s := range y[from:] {
		if s.name == "StripPrefix" {
			p = "/api" + p
		}
	}
	return p
}

// expect is what a request comes to from a handler on, and where its connection is taken over; -1 for nowhere.
func (y way) expect(from int, k *walker) (want string, taken int) {
	for i, s := range y[from:] {
		switch s.model(k) {
		case refuses:
			return refused, -1
		case takes:
			return "taken over", from + i
		}
	}
	return fmt.Sprintf("token %q, certificate %q, headers %t", k.who, k.found, !k.gone && (!k.direct || k.forged != "")), -1
}

func (w *walk) row(y way, where string, c caller, got, want string) {
	w.rows++
	w.came[got]++
	if got == want {
		return
	}
	if w.wrong++; w.wrong < 20 {
		w.Errorf("%s, %s, %s: got %s, want %s", y, where, c, got, want)
	}
}

// Whichever two handlers there are, in whatever order, on whichever server, and whoever comes after whom, also with one between
// them that takes the connection over: what a request comes to is what a plain reading of the documentation says.
func TestTheWalk(t *testing.T) {
	w := newWalk(t)
	stations := w.stations()
	servers, takeovers := w.servers(), w.takeovers()
	ways := 0
	for _, a := range stations {
		for _, b := range stations {
			w.walk(way{a, b}, servers, takeovers)
			for _, between := range stations {
				if between.takes {
					w.walk(way{a, between, b}, nil, takeovers)
				}
			}
			ways++
		}
	}
	for _, s := range servers {
		if n := s.dialled.Load(); n != 1 {
			t.Errorf("%s: %d connections of the proxy, want one for all callers", s.name, n)
		}
	}
	if w.wrong > 0 {
		t.Errorf("%d rows are wrong", w.wrong)
	}
	t.Logf("%d pairs, %d rows, %d wrong", ways, w.rows, w.wrong)
	for _, want := range []string{
		refused, `token "owner", certificate "owner", headers false`, `token "bob", certificate "bob", headers false`,
	} {
		if w.came[want] < 100 {
			t.Errorf("%d rows came to %s, want many", w.came[want], want)
		}
	}
}

// walk has everybody come by one way.
func (w *walk) walk(y way, servers []*walkServer, takeovers []*takeover) {
	w.Helper()
	h := y.handler()
	w.now.Store(&h)
	for _, s := range servers {
		w.serve(y, s)
	}
	for _, s := range takeovers {
		w.takeOver(y, s)
	}
}

// byProxy is the source of an API behind a proxy.
func byProxy(format proxy.Format, trust ...proxy.Trust) popauth.CertificateSource {
	source, err := proxy.Certificate(format, trust...)
	if err != nil {
		panic(err)
	}
	return source
}
