package proxy_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// walker is what a plain reading of the documentation says about a request on its way through handlers.
type walker struct {
	token, header string // whose token, and whose certificate the proxy's header still says; "" for nobody's
	asked         bool   // somebody has asked for the certificate
	found         string // and found this one
	who           string // a Guard has let pass
	decided       bool   // the Guard with a source of its own has
}

// caller is whose certificate counts for a handler without a source.
func (k *walker) caller() string {
	if k.asked {
		return k.found
	}
	return "gateway" // the connection's
}

// station is a handler and what it does to a request by the plain reading; false refuses.
type walkStation struct {
	name    string
	handler func(http.Handler) http.Handler
	model   func(*walker) bool
}

func walkStations(l *lab.Lab, certificates ...clientcert.Match) []walkStation {
	source := lab.ByProxy(proxy.RFC9440(), proxy.TrustPeers(lab.ProxyNet))
	own, plain := l.Guard(func(o *popauth.Options) { o.Certificate = source }), l.Guard()
	passThrough := func(*walker) bool { return true }
	ownStage := func(k *walker) bool {
		if k.decided { // it hands on what it has found, whatever a handler in between has
			k.found = k.token
			return true
		}
		if k.token == "" || k.token != k.header {
			return false
		}
		k.asked, k.found, k.header, k.who, k.decided = true, k.header, "", k.token, true
		return true
	}
	route := func(k *walker) bool {
		if c := k.caller(); c == "thief" || c == "" {
			return false
		}
		return true
	}
	return []walkStation{
		{"ClientCertificate", popauth.ClientCertificate(source), func(k *walker) bool {
			k.asked, k.found, k.header = true, k.header, ""
			return true
		}},
		{"Authenticate", own.Authenticate, ownStage},
		{"Confirm", own.Confirm, ownStage},
		{"Authorize", own.Authorize(popauth.Scope("orders.read")), ownStage},
		{"RequireCertificate", clientcert.Require(nil, clientcert.AnyOf(certificates...)), func(k *walker) bool {
			if !route(k) {
				return false
			}
			k.found, k.asked = k.caller(), true
			return true
		}},
		{"CheckCertificate", func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if _, err := clientcert.Check(r, nil, clientcert.AnyOf(certificates...)); err != nil {
					w.WriteHeader(http.StatusForbidden)
					return
				}
				next.ServeHTTP(w, r)
			})
		}, route},
		{"inner Guard", plain.Confirm, func(k *walker) bool {
			if k.token == "" || k.token != k.caller() {
				return false
			}
			k.who = k.token
			return true
		}},
		{"StripPrefix", func(next http.Handler) http.Handler { return http.StripPrefix("/api", next) }, passThrough},
		{"TimeoutHandler", func(next http.Handler) http.Handler { return http.TimeoutHandler(next, time.Minute, "") }, passThrough},
		{"copy of r.TLS", func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				c := *r.TLS
				own := *r
				own.TLS = &c
				next.ServeHTTP(w, &own)
			})
		}, passThrough},
		{"clone", lab.Altered(func(*http.Request) {}), passThrough},
	}
}

// Whichever handlers there are, in whatever order, and whoever comes: what a request comes to is what a plain reading of
// the documentation says.
func TestTheWalk(t *testing.T) {
	l := lab.New(t)
	clients := map[string]*popauthtest.Client{"owner": l.Owner, "bob": l.CA.Client("bob"), "thief": l.Thief,
		"gateway": l.CA.Client("gateway")}
	tokens := map[string]string{"": ""}
	for _, name := range []string{"owner", "bob"} {
		tokens[name] = l.Issuer.Token(clients[name].Bound(), popauthtest.Claims{"sub": name, "scope": "orders.read"})
	}
	stations := walkStations(l, clientcert.Thumbprint(clients["owner"].Thumbprint()), clientcert.Thumbprint(clients["bob"].Thumbprint()),
		clientcert.Thumbprint(clients["gateway"].Thumbprint()))
	connection := clients["gateway"].Request("GET", "http://example.com/", "").TLS // one for all
	rows, wrong := 0, 0
	walk := func(way ...walkStation) {
		name, handlers, prefix := "", []func(http.Handler) http.Handler{}, ""
		for _, s := range way {
			name += s.name + ", "
			handlers = append(handlers, s.handler)
			if s.name == "StripPrefix" {
				prefix += "/api"
			}
		}
		for _, from := range [][2]string{{"owner", "owner"}, {"owner", "thief"}, {"", ""}, {"owner", ""}, {"", "thief"}, {"bob", "bob"},
			{"owner", "bob"}, {"owner", "owner"}} {
			k := walker{token: from[0], header: from[1]}
			want := "refused"
			for i, s := range way {
				if !s.model(&k) {
					break
				}
				if i == len(way)-1 {
					want = fmt.Sprintf("token %q, certificate %q, header %t", k.who, k.found, k.header != "")
				}
			}
			r := lab.ViaProxy(tokens[from[0]])
			if from[1] != "" {
				r.Header.Set("Client-Cert", lab.ClientCert(clients[from[1]]))
			}
			r.TLS = connection
			r.URL.Path, r.RequestURI = prefix+"/orders", prefix+"/orders"
			got := "refused"
			w := httptest.NewRecorder()
			lab.Chain(handlers...)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				who, found := "", ""
				if p, ok := popauth.FromContext(r.Context()); ok {
					who = p.Subject
				}
				if c, ok := popauth.CertificateFromContext(r.Context()); ok {
					found = c.Leaf.Subject.CommonName
				}
				got = fmt.Sprintf("token %q, certificate %q, header %t", who, found, len(r.Header["Client-Cert"]) > 0)
			})).ServeHTTP(w, r)
			rows++
			if got != want || (got == "refused") == (w.Code == http.StatusOK) {
				wrong++
				if wrong < 20 {
					t.Errorf("%stoken of %q, certificate of %q: got %s (%d), want %s", name, from[0], from[1], got, w.Code, want)
				}
			}
		}
	}
	for _, a := range stations {
		for _, b := range stations {
			walk(a, b)
			for _, c := range stations {
				walk(a, b, c)
			}
		}
	}
	t.Logf("%d rows, %d wrong", rows, wrong)
}
