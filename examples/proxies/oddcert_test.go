package proxies_test

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/internal/oddcert"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// Certificates that OpenSSL accepts in a handshake and Go can't parse: their owners' tokens are bound to them, and behind
// a proxy they have the right to be served. They are nobody by name, whatever the proxy says.
func TestCertificatesThatGoCantParse(t *testing.T) {
	need(t, "nginx", "haproxy")
	c := newCast(t)
	odd, err := oddcert.Issue(c.authority.Certificate, c.authority.Key, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	// What OpenSSL itself refuses: a curve without a name has no code in TLS (RFC 8422, section 5.1.1), a compressed point is
	// for TLS 1.3, and a key identifier that is critical is for strict readers alone.
	refused := map[string][]string{
		"critical authority key identifier": {"400", "closed"},
		"critical subject key identifier":   {"400", "closed"},
		"compressed point":                  {"TLS 1.2: closed, TLS 1.3: 200", "TLS 1.2: closed, TLS 1.3: 200"},
		"explicit parameters":               {"400", "closed"},
	}
	lanes := []*lane{newLane(t, c, kinds[0], ""), newLane(t, c, kinds[2], "")}
	table := [][]string{{"the certificate has", lanes[0].name, lanes[1].name}}
	for _, o := range odd {
		client := &popauthtest.Client{Certificate: o.Certificate}
		token := field{"authorization", "Bearer " + c.token(client)}
		line := []string{o.Name}
		for i, l := range lanes {
			want := "200"
			if w, ok := refused[o.Name]; ok {
				want = w[i]
			}
			line = append(line, l.byVersion(client, token))
			if got := line[i+1]; got != want {
				t.Errorf("%s, %s: got %s, want %s", l.name, o.Name, got, want)
			}
			for _, w := range ways {
				if got, _ := l.ask(w, c.thief, []field{token}); got != "401" {
					t.Errorf("%s, %s: another certificate got %s, want 401", l.name, o.Name, got)
				}
			}
			// If this proxy doesn't let one in, others do.
			forwarded := append(l.lines(o.Certificate.Certificate[0]), token, field{"X-Proxy-Secret", secret})
			if got := l.direct("127.0.0.1", forwarded); got != "200" {
				t.Errorf("%s, %s: popauth gives %s, want 200", l.name, o.Name, got)
			}
		}
		table = append(table, line)
	}
	document(t, "odd", table)
}

// byVersion is what comes of a request by each version of TLS, if that makes a difference.
func (l *lane) byVersion(as *popauthtest.Client, token field) string {
	got := map[uint16]string{}
	for _, w := range ways {
		outcome, _ := l.ask(w, as, []field{token})
		if before := got[w.version]; before != "" && before != outcome {
			outcome = before + ", " + outcome
		}
		got[w.version] = outcome
	}
	if got[tls.VersionTLS12] == got[tls.VersionTLS13] {
		return got[tls.VersionTLS13]
	}
	return "TLS 1.2: " + got[tls.VersionTLS12] + ", TLS 1.3: " + got[tls.VersionTLS13]
}
