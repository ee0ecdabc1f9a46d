package proxy_test

import (
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

const (
	gatewayURI = "spiffe://cluster.local/ns/istio-system/sa/gateway"
	inner      = "spiffe://cluster.local/ns/default/sa/inner"
	workload   = "spiffe://cluster.local/ns/default/sa/batch"
)

// byHop is the element that a sidecar of Istio appends for the peer with a URI.
func byHop(uri string) string {
	return "By=spiffe://cluster.local/ns/default/sa/orders;Hash=" + strings.Repeat("0a", 32) + `;Subject="";URI=` + uri
}

func TestHops(t *testing.T) {
	client := cert(t, "client")
	caller := hash(client) + `;Cert="` + percentPEM(client) + `";Subject="CN=a"`
	leaf, strange, bad := outcome{leaf: client}, outcome{err: proxy.ErrHops}, outcome{err: proxy.ErrMalformed}
	one, two := []string{gatewayURI}, []string{gatewayURI, inner}
	long := strings.Repeat("x", 200)
	for _, tt := range []struct {
		name, value string
		hops        []string
		want        outcome
		says        string // in the error
	}{
		{name: "Istio's default", hops: one, value: caller + "," + byHop(gatewayURI), want: leaf},
		{name: "with DNS", hops: one, value: caller + "," + byHop(gatewayURI) + ";DNS=", want: leaf},
		{name: "no certificate", hops: one, value: byHop(gatewayURI), want: outcome{}},
		{name: "two hops", hops: two, value: caller + "," + byHop(gatewayURI) + "," + byHop(inner), want: leaf},
		{name: "two hops, no certificate", hops: two, value: byHop(gatewayURI) + "," + byHop(inner), want: outcome{}},

		{name: "no hop at all", hops: one, value: caller, want: strange, says: `URI (set uri: true)`},
		{name: "two hops the other way round", hops: two, value: caller + "," + byHop(inner) + "," + byHop(gatewayURI), want: strange},
		{name: "fewer hops", hops: two, value: byHop(inner), want: strange, says: `got elements of "` + inner},
		{name: "the caller where a hop should be", hops: two, value: caller + "," + byHop(inner), want: strange},
		{name: "one hop too many", hops: one, value: caller + "," + byHop(gatewayURI) + "," + byHop(inner), want: strange,
			says: `got elements of "` + inner + `"`},
		{name: "the same hop too often", hops: one, value: byHop(gatewayURI) + "," + byHop(gatewayURI), want: strange,
			says: "one of these as the caller"},
		{name: "another as the first hop", hops: two, value: caller + "," + byHop(workload) + "," + byHop(inner), want: strange},
		{name: "a workload", hops: one, value: byHop(workload), want: strange, says: workload},
		{name: "a workload, forged", hops: one, value: caller + "," + byHop(workload), want: strange, says: workload},
		{name: "a workload, everything forged", hops: one, value: caller + "," + byHop(gatewayURI) + "," + byHop(workload), want: strange},
		{name: "two callers", hops: one, value: caller + "," + caller + "," + byHop(gatewayURI), want: strange,
			says: "2 elements before these"},
		{name: "the hop's URI cut", hops: one, value: caller + "," + byHop(gatewayURI[:len(gatewayURI)-1]), want: strange},
		{name: "the hop's URI with more", hops: one, value: caller + "," + byHop(gatewayURI+"2"), want: strange},
		{name: "the hop's URI in capitals", hops: one, value: caller + "," + byHop(strings.ToUpper(gatewayURI)), want: strange},
		{name: "the hop's URI in quotes", hops: one, value: caller + "," + byHop(`"`+gatewayURI+`"`), want: strange},
		{name: "the hop's URI beside another", hops: one, value: caller + "," + byHop(workload) + ";URI=" + gatewayURI, want: strange,
			says: "one of 2 URIs"},
		{name: "another beside the hop's URI", hops: one, value: caller + "," + byHop(gatewayURI) + ";URI=" + workload, want: strange},
		{name: "the hop's URI as DNS", hops: one, value: caller + "," + byHop("") + ";DNS=" + gatewayURI, want: strange},
		{name: "the hop without hash", hops: one, value: caller + ",URI=" + gatewayURI, want: strange},
		{name: "the hop's hash in capitals", hops: one, want: strange,
			value: caller + ",Hash=" + strings.Repeat("0A", 32) + ";URI=" + gatewayURI},
		{name: "a comma in a workload's URI", hops: one, value: byHop(workload + "," + hash(client) + ";URI=" + gatewayURI), want: bad},
		{name: "a comma in a caller's URI", hops: one, want: strange,
			value: caller + ";URI=a," + byHop(gatewayURI) + "," + byHop(gatewayURI)},
		{name: "a long URI", hops: one, value: caller + "," + byHop(long), want: strange, says: long[:100] + `"`},
		{name: "an own hop as the caller", hops: one, value: caller + ";URI=" + gatewayURI + "," + byHop(gatewayURI), want: strange,
			says: "one of these as the caller"},
		{name: "a caller without certificate in it", hops: one, value: hash(client) + "," + byHop(gatewayURI), want: bad, says: "set cert"},
		{name: "a caller with another's hash", hops: one, want: bad,
			value: "Hash=" + strings.Repeat("0a", 32) + caller[5+64:] + "," + byHop(gatewayURI)},
		{name: "empty", hops: one, value: "", want: bad},
		{name: "an empty element at the end", hops: one, value: byHop(gatewayURI) + ",", want: bad},
		{name: "an empty element at the start", hops: one, value: "," + byHop(gatewayURI), want: bad},
		{name: "a quote that isn't closed", hops: one, value: caller + `;URI=",` + byHop(gatewayURI), want: bad},
		{name: "many elements", hops: one, value: strings.Repeat(byHop(workload)+",", 21) + byHop(gatewayURI), want: bad},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := proxy.Envoy().WithHops(tt.hops...)
			h := header("X-Forwarded-Client-Cert", tt.value)
			check(t, f, h, tt.want)
			_, err := f.Decode(h)
			if err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want it to say %s", err, tt.says)
			}
			if err != nil && errors.Is(tt.want.err, proxy.ErrHops) && !strings.Contains(err.Error(), gatewayURI) {
				t.Errorf("got %v, want it to name the expected hops", err)
			}
		})
	}
	t.Run("no header", func(t *testing.T) { check(t, proxy.Envoy().WithHops(gatewayURI), header(), strange) })
	t.Run("the names are copied", func(t *testing.T) {
		mine := []string{gatewayURI}
		f := proxy.Envoy().WithHops(mine...)
		mine[0] = workload
		check(t, f, header("X-Forwarded-Client-Cert", byHop(workload)), strange)
	})
}

// A gateway that is told to send no URI can still be found in the certificate.
func TestHopsOwnCertificate(t *testing.T) {
	ca := popauthtest.NewCA(t)
	own := ca.Client("gateway", func(c *x509.Certificate) {
		u, err := url.Parse(gatewayURI)
		if err != nil {
			t.Fatal(err)
		}
		c.URIs = []*url.URL{u}
	}).Certificate.Certificate[0]
	value := hash(own) + `;Cert="` + percentPEM(own) + `",` + byHop(gatewayURI)
	check(t, proxy.Envoy().WithHops(gatewayURI), header("X-Forwarded-Client-Cert", value), outcome{err: proxy.ErrHops})
}

func TestHopsProblems(t *testing.T) {
	many := strings.Split(strings.Repeat("a:b ", 11), " ")[:11]
	for _, tt := range []struct {
		name   string
		format proxy.Format
	}{
		{name: "none", format: proxy.Envoy().WithHops()},
		{name: "eleven", format: proxy.Envoy().WithHops(many...)},
		{name: "twice", format: proxy.Envoy().WithHops(gatewayURI).WithHops(inner)},
		{name: "empty", format: proxy.Envoy().WithHops("")},
		{name: "no scheme", format: proxy.Envoy().WithHops("gateway")},
		{name: "comma", format: proxy.Envoy().WithHops("a:b,c")},
		{name: "semicolon", format: proxy.Envoy().WithHops("a:b;c")},
		{name: "quote", format: proxy.Envoy().WithHops(`a:"b"`)},
		{name: "not ASCII", format: proxy.Envoy().WithHops("a:ä")},
		{name: "RFC 9440", format: proxy.RFC9440().WithHops(gatewayURI)},
		{name: "nginx", format: proxy.Nginx("A", "B").WithHops(gatewayURI)},
		{name: "gorouter", format: proxy.CloudFoundry().WithHops(gatewayURI)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.format.Validate(); err == nil {
				t.Error("got nil, want a problem")
			}
			if _, err := tt.format.Decode(header()); err == nil {
				t.Error("Decode: got nil, want an error")
			}
		})
	}
}

// What came past the gateway is refused as no connection of the proxy, and nothing behind it runs.
func TestHopsRefused(t *testing.T) {
	source, err := proxy.Certificate(proxy.Envoy().WithHops(gatewayURI), proxy.TrustPeers(netip.MustParsePrefix("192.0.2.1/32")))
	if err != nil {
		t.Fatal(err)
	}
	client := cert(t, "client")
	caller := hash(client) + `;Cert="` + percentPEM(client) + `"`
	for _, tt := range []struct {
		name, value string
		want        int
	}{
		{name: "by the gateway", value: caller + "," + byHop(gatewayURI), want: http.StatusOK},
		{name: "by the gateway, again", value: caller + "," + byHop(gatewayURI), want: http.StatusOK},
		{name: "past it", value: caller + "," + byHop(workload), want: http.StatusForbidden},
		{name: "a list of two", value: caller + "," + caller + "," + byHop(gatewayURI), want: http.StatusForbidden},
	} {
		t.Run(tt.name, func(t *testing.T) {
			spy := &popauthtest.Spy{}
			w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "http://api.example.com/", nil)
			r.RemoteAddr = "192.0.2.1:1"
			r.Header.Set("X-Forwarded-Client-Cert", tt.value)
			popauth.ClientCertificate(source)(spy).ServeHTTP(w, r)
			if ran := spy.Ran() == 1; w.Code != tt.want || ran != (tt.want == http.StatusOK) {
				t.Errorf("got %d, ran: %v, want %d", w.Code, ran, tt.want)
			}
			r.Header.Set("X-Forwarded-Client-Cert", tt.value)
			if _, err := popauth.FindCertificate(source, r); tt.want != http.StatusOK && !errors.Is(err, popauth.ErrPeerUntrusted) {
				t.Errorf("got %v, want %v", err, popauth.ErrPeerUntrusted)
			}
		})
	}
}

// Formats with one value are the first hop's: a second one that appends is refused, in one line or two.
func TestHopsThatAppend(t *testing.T) {
	client := cert(t, "client")
	one := byteSequence(client)
	for _, tt := range []struct {
		name  string
		pairs []string
		want  outcome
	}{
		{name: "passed on", pairs: []string{"Client-Cert", one}, want: outcome{leaf: client}},
		{name: "appended to the line", pairs: []string{"Client-Cert", one + ", " + one}, want: outcome{err: proxy.ErrMalformed}},
		{name: "a line each", pairs: []string{"Client-Cert", one, "Client-Cert", one}, want: outcome{err: proxy.ErrMalformed}},
	} {
		t.Run(tt.name, func(t *testing.T) { check(t, proxy.RFC9440(), header(tt.pairs...), tt.want) })
	}
}
