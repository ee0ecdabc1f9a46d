package proxies_test

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// A dpopLane is a proxy in front of an API that takes tokens bound to a certificate and tokens bound to a key.
type dpopLane struct {
	*lane
	key, other *popauthtest.ProofKey
	token      string // bound to key
	base       string // of the API, as its clients call it
	nonce      string
	reason     atomic.Value // the code of the last refusal
}

// A dpopRow is one request, and what comes of it.
type dpopRow struct {
	name   string
	as     *popauthtest.Client
	header func(d *dpopLane) http.Header
	want   string // the status, and the code of the refusal
}

func newDPoPLane(t *testing.T, c *cast, k kind) *dpopLane {
	t.Helper()
	d := &dpopLane{key: popauthtest.NewProofKey(t, ""), other: popauthtest.NewProofKey(t, "")}
	var guarded atomic.Value // an http.Handler: the API's URL is known once the proxy listens
	d.lane = &lane{cast: c, kind: k, spy: &popauthtest.Spy{}}
	d.api = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		guarded.Load().(http.Handler).ServeHTTP(w, r)
	}))
	d.api.Config.ConnContext = proxy.ConnContext
	d.api.Start()
	t.Cleanup(d.api.Close)
	d.start(t, d.api.Listener.Addr().String(), "")
	d.base = "https://" + strings.Replace(d.front.Address, "127.0.0.1", "localhost", 1)

	nonces := dpop.StatelessNonces{Secrets: [][]byte{[]byte("a secret of thirty-two bytes, ...")}}
	proofs, err := dpop.New(dpop.Options{BaseURL: d.base, Nonces: nonces})
	if err != nil {
		t.Fatal(err)
	}
	options := c.issuer.Options()
	options.Certificate = byProxy(k.format, proxy.TrustPeers(loopback), proxy.TrustSecret("X-Proxy-Secret", secret))
	options.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, proofs}
	options.Observe = func(_ context.Context, o popauth.Observation) {
		if o.Reason != "" {
			d.reason.Store(o.Reason.Code())
		}
	}
	guard, err := popauth.New(options)
	if err != nil {
		t.Fatal(err)
	}
	guarded.Store(http.Handler(guard.Confirm(d.spy)))
	d.token = c.issuer.Token(d.key.Bound())
	return d
}

// proven is a request's headers with a proof.
func (d *dpopLane) proven(proof string) http.Header {
	return http.Header{"Authorization": {"DPoP " + d.token}, "Dpop": {proof}}
}

func (d *dpopLane) proof(target string) string {
	return d.key.Proof("GET", target, d.token, popauthtest.Claims{"nonce": d.nonce})
}

func (d *dpopLane) rows() []dpopRow {
	used := ""
	with := func(h http.Header, fields ...string) http.Header {
		for i := 0; i < len(fields); i += 2 {
			h.Add(fields[i], fields[i+1])
		}
		return h
	}
	own := d.base + "/orders"
	return []dpopRow{
		{name: "no nonce yet", want: "401 nonce_required",
			header: func(d *dpopLane) http.Header { return d.proven(d.key.Proof("GET", own, d.token)) }},
		{name: "the owner, with the nonce of that answer", want: "200", header: func(d *dpopLane) http.Header {
			used = d.proof(own)
			return d.proven(used)
		}},
		{name: "that proof once more", want: "401 proof_replayed", header: func(d *dpopLane) http.Header { return d.proven(used) }},
		{name: "no proof", want: "401 proof_missing",
			header: func(d *dpopLane) http.Header { return http.Header{"Authorization": {"DPoP " + d.token}} }},
		{name: "the token as a bearer token", want: "401 binding_scheme", header: func(d *dpopLane) http.Header {
			return http.Header{"Authorization": {"Bearer " + d.token}, "Dpop": {d.proof(own)}}
		}},
		{name: "a proof by another key", want: "401 proof_key", header: func(d *dpopLane) http.Header {
			return d.proven(d.other.Proof("GET", own, d.token, popauthtest.Claims{"nonce": d.nonce}))
		}},
		{name: "a proof for another path", want: "401 proof_target",
			header: func(d *dpopLane) http.Header { return d.proven(d.proof(d.base + "/admin")) }},
		{name: "a proof for another method", want: "401 proof_target", header: func(d *dpopLane) http.Header {
			return d.proven(d.key.Proof("POST", own, d.token, popauthtest.Claims{"nonce": d.nonce}))
		}},
		{name: "a proof for another token", want: "401 proof_token", header: func(d *dpopLane) http.Header {
			return d.proven(d.key.Proof("GET", own, d.cast.token(d.owner), popauthtest.Claims{"nonce": d.nonce}))
		}},
		{name: "a proof for the API's inner URL", want: "401 proof_target", header: func(d *dpopLane) http.Header {
			return d.proven(d.proof(d.api.URL + "/orders"))
		}},
		{name: "a proof for another host, with headers that name it", want: "401 proof_target", header: func(d *dpopLane) http.Header {
			return with(d.proven(d.proof("https://evil.example/orders")), "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https",
				"Forwarded", "host=evil.example;proto=https", "X-Original-Url", "https://evil.example/orders")
		}},
		{name: "the owner, with headers that name another host", want: "200", header: func(d *dpopLane) http.Header {
			return with(d.proven(d.proof(own)), "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "http",
				"Forwarded", "host=evil.example;proto=http")
		}},
		{name: "two proofs", want: "401 proof_malformed",
			header: func(d *dpopLane) http.Header { return with(d.proven(d.proof(own)), "Dpop", d.proof(own)) }},
		{name: "two proofs in one line", want: "401 proof_malformed", header: func(d *dpopLane) http.Header {
			return d.proven(d.proof(own) + ", " + d.proof(own))
		}},
		{name: "a certificate-bound token, with a proof for its certificate", as: d.thief, want: "401 binding_scheme",
			header: func(d *dpopLane) http.Header {
				t := d.cast.token(d.owner)
				proof := d.key.Proof("GET", own, t, popauthtest.Claims{"nonce": d.nonce})
				return http.Header{"Authorization": {"DPoP " + t}, "Dpop": {proof}}
			}},
		{name: "a certificate-bound token, with its certificate", as: d.owner, want: "200", header: func(d *dpopLane) http.Header {
			return http.Header{"Authorization": {"Bearer " + d.cast.token(d.owner)}}
		}},
		{name: "a token bound to both, with the proof alone", want: "401 certificate_missing",
			header: func(d *dpopLane) http.Header { return d.both(own) }},
		{name: "the same, with the proof and another certificate", as: d.thief, want: "401 certificate_mismatch",
			header: func(d *dpopLane) http.Header { return d.both(own) }},
		{name: "the same, with the proof and the certificate", as: d.owner, want: "200",
			header: func(d *dpopLane) http.Header { return d.both(own) }},
	}
}

// both is what goes with a token that is bound to the key and to the owner's certificate.
func (d *dpopLane) both(target string) http.Header {
	cnf := popauthtest.Claims{"jkt": d.key.Thumbprint(), "x5t#S256": d.owner.Thumbprint()}
	token := d.issuer.Token(popauthtest.Claims{"cnf": cnf})
	return http.Header{
		"Authorization": {"DPoP " + token}, "Dpop": {d.key.Proof("GET", target, token, popauthtest.Claims{"nonce": d.nonce})},
	}
}

// client makes its own connection for each request.
func (d *dpopLane) client(as *popauthtest.Client, h2 bool) *http.Client {
	way := way{"http/1.1", tls.VersionTLS13}
	if h2 {
		way.alpn = "h2"
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!h2)
	protocols.SetHTTP2(h2)
	return &http.Client{
		Transport:     &http.Transport{TLSClientConfig: d.config(way, as), Protocols: protocols, DisableKeepAlives: !h2},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (d *dpopLane) outcome(client *http.Client, header http.Header) string {
	r, err := http.NewRequest(http.MethodGet, d.base+"/orders", http.NoBody)
	if err != nil {
		return err.Error()
	}
	r.Header = header
	before := d.spy.Ran()
	answer, err := client.Do(r)
	if err != nil {
		return err.Error()
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, answer.Body)
	if n := answer.Header.Get("DPoP-Nonce"); n != "" {
		d.nonce = n
	}
	outcome := d.judge(reply{status: answer.StatusCode}, nil, before)
	if code, _ := d.reason.Swap("").(string); code != "" {
		outcome += " " + code
	}
	return outcome
}

// Proofs pass each proxy, over HTTP/1.1 and HTTP/2, and those of thieves pass none.
func TestDPoP(t *testing.T) {
	need(t, "nginx", "apache", "haproxy", "caddy")
	c := newCast(t)
	table := [][]string{{"the caller has", "every proxy"}}
	for _, r := range (&dpopLane{lane: &lane{cast: c}}).rows() {
		table = append(table, []string{r.name, r.want})
	}
	t.Run("", func(t *testing.T) {
		for _, k := range kinds {
			t.Run(k.name, func(t *testing.T) {
				t.Parallel()
				d := newDPoPLane(t, c, k)
				for _, h2 := range []bool{false, true} {
					for _, r := range d.rows() {
						client := d.client(r.as, h2)
						if got := d.outcome(client, r.header(d)); got != r.want {
							t.Errorf("%s, HTTP/2 %t: got %s, want %s", r.name, h2, got, r.want)
						}
						client.CloseIdleConnections()
					}
				}
			})
		}
	})
	document(t, "dpop", table)
}
