package clientauth_test

import (
	"encoding/base64"
	"net/http"
	"net/netip"
	"net/url"
	"testing"

	"github.com/seed-171ab058/popauth/clientauth"
	"github.com/seed-171ab058/popauth/internal/reused"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// Behind a server that reads each request into the memory of the one before, a client is who its own certificate says, and
// stays so for whoever keeps the Client.
func TestClientsInReusedMemory(t *testing.T) {
	ca := popauthtest.NewCA(t)
	names := []string{"alice", "bobby", "carol"}
	clients, registered := make([]*popauthtest.Client, len(names)), clientauth.Static{}
	for i, name := range names {
		clients[i] = ca.Client(name) // of one size, so that their headers are at the same place
		for len(clients[i].Certificate.Certificate[0]) != len(clients[0].Certificate.Certificate[0]) {
			clients[i] = ca.Client(name)
		}
		registered[name] = []clientauth.Registration{thumbprint(t, clients[i])}
	}
	a := newAuth(t, clientauth.Options{
		Clients: registered, AlwaysBind: true,
		Certificate: byProxy(proxy.RFC9440(), proxy.TrustPeers(netip.MustParsePrefix("192.0.2.1/32"))),
	})
	ids := map[string]func(name string) (form string, change func(*http.Request)){
		"form": func(name string) (string, func(*http.Request)) { return "client_id=" + name, func(*http.Request) {} },
		"Basic": func(name string) (string, func(*http.Request)) {
			return "grant_type=client_credentials", func(r *http.Request) { r.SetBasicAuth(url.QueryEscape(name), "") }
		},
	}
	for how, say := range ids {
		var b reused.Buffer
		var kept []*clientauth.Client
		for _, i := range reused.Order(len(names)) {
			for _, j := range reused.Order(len(names))[:7] {
				form, change := say(names[j])
				r := post(nil, form, change, header("Client-Cert",
					":"+base64.StdEncoding.EncodeToString(clients[i].Certificate.Certificate[0])+":"))
				got := send(a, b.Request(r))
				if i != j {
					got.refused(t, clientauth.ErrCertificateMismatch, http.StatusUnauthorized, "invalid_client")
					continue
				}
				got.passed(t, names[i])
				kept = append(kept, got.client)
			}
		}
		b.Scribble()
		passed := map[string]int{}
		for _, c := range kept {
			if c == nil || c.Certificate.Leaf.Subject.CommonName != c.ID ||
				c.Confirmation() != clientauth.ConfirmationX509(c.Certificate.Leaf) {
				t.Fatalf("%s: got %+v, want it to stay what it was", how, c)
			}
			passed[c.ID]++
		}
		for _, name := range names {
			if passed[name] == 0 {
				t.Errorf("%s: %s has never come", how, name)
			}
		}
	}
}
