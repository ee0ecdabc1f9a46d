package revocation_test

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/revocation"
)

// Every kind of responder that openssl can be counts as OpenSSL counts it, and what it calls revoked is refused.
func TestOpenSSLResponders(t *testing.T) {
	for _, key := range []string{"P-256", "Ed25519", "RSA"} {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			a := newAuthority(t, key)
			var args string
			url := a.responder(&args)
			for _, name := range []string{"good", "bad"} {
				a.issue(name, "client", key, url)
			}
			a.issue("delegate", "responder", key, url)
			a.issue("struck", "responder", key, url)
			a.issue("client", "client", key, url)
			a.revoke("bad", "keyCompromise")
			a.revoke("struck", "keyCompromise")
			const fresh = " -nmin 60"
			rows := []struct {
				name, args          string
				files               []string
				want, wantWith, bad string // for the good one, for it with AllowUnknown, for the revoked one
			}{
				{name: "the authority, its certificate in the answer", args: "-rsigner int.pem -rkey int.key" + fresh, want: "good",
					wantWith: "good", bad: "revoked"},
				{name: "the authority, no certificate", args: "-rsigner int.pem -rkey int.key -resp_no_certs" + fresh, want: "good",
					wantWith: "good", bad: "revoked"},
				{name: "the authority, its other certificate", args: "-rsigner bare.pem -rkey int.key" + fresh, want: "good",
					wantWith: "good", bad: "revoked"},
				{name: "the authority, by key ID, no nextUpdate", args: "-rsigner int.pem -rkey int.key -resp_key_id", want: "good",
					wantWith: "good", bad: "revoked"},
				{name: "delegated", args: "-rsigner delegate.pem -rkey delegate.key" + fresh, want: "good", wantWith: "good",
					bad: "revoked"},
				{name: "delegated, by key ID, no nextUpdate", args: "-rsigner delegate.pem -rkey delegate.key -resp_key_id", want: "good",
					wantWith: "good", bad: "revoked"},
				{name: "delegated, the authority's certificate sent along",
					args: "-rsigner delegate.pem -rkey delegate.key -rother int.pem" + fresh, want: "good", wantWith: "good",
					bad: "revoked"},
				{name: "a client", args: "-rsigner client.pem -rkey client.key" + fresh, want: "unknown", wantWith: "good", bad: "unknown"},
				{name: "the authority's new key", args: "-rsigner renewed.pem -rkey renewed.key" + fresh, want: "unknown",
					wantWith: "good", bad: "unknown"},
				{name: "delegated, revoked, and nobody knows", args: "-rsigner struck.pem -rkey struck.key" + fresh, want: "good",
					wantWith: "good", bad: "revoked"},
			}
			if key == "RSA" {
				rows = append(rows, rows[0])
				rows[len(rows)-1].name += ", RSASSA-PSS"
				rows[len(rows)-1].args += " -rsigopt rsa_padding_mode:pss -rsigopt rsa_pss_saltlen:digest"
			}
			for _, row := range rows {
				args = row.args
				for _, allow := range []bool{false, true} {
					o := revocation.Options{OCSP: true, AllowUnknown: allow}
					want := row.want
					if allow {
						want = row.wantWith
					}
					if got := a.verdict(o, "good", "int"); got != want {
						t.Errorf("%s, AllowUnknown %t, good: got %s, want %s", row.name, allow, got, want)
					}
					wantBad := row.bad
					if allow && wantBad == "unknown" {
						wantBad = "good" // nobody who may say so has said that it is revoked
					}
					if got := a.verdict(o, "bad", "int"); got != wantBad {
						t.Errorf("VULNERABLE: %s, AllowUnknown %t, revoked: got %s, want %s", row.name, allow, got, wantBad)
					}
				}
			}
			// A list has the responder, and nothing about the client, since it is over.
			args = "-rsigner struck.pem -rkey struck.key" + fresh
			c := checker(t, revocation.Options{OCSP: true, Files: []string{a.overList()}})
			chain := revoked(a.certificate("good"), a.certificate("int"))
			if got, err := c.Revoked(t.Context(), chain); got || err == nil ||
				!strings.Contains(err.Error(), "responder that is revoked itself") {
				t.Errorf("VULNERABLE: a revoked responder: got %t, %v", got, err)
			}
		})
	}
}

// overList is a list as it was long ago: it revokes, and acquits nobody.
func (a *authority) overList() string {
	a.t.Helper()
	out := a.path("over.crl")
	a.run("OCSP;URI:http://127.0.0.1:1/", strings.Fields("ca -config ca.cnf -gencrl -crl_lastupdate 20200101000000Z -crl_nextupdate "+
		"20200102000000Z -out "+out)...)
	return out
}

// The authority says revoked: by which of its certificates the thief comes, and which he sends along, can't help him.
func TestOpenSSLAuthorityTwice(t *testing.T) {
	a := newAuthority(t, "P-256")
	var args string
	url := a.responder(&args)
	a.issue("bad", "client", "P-256", url)
	a.issue("good", "client", "P-256", url)
	a.revoke("bad", "keyCompromise")
	args = "-rsigner int.pem -rkey int.key -nmin 60"
	signer := []*x509.Certificate{a.certificate("renewed")}
	for name, tt := range map[string]struct {
		o    revocation.Options
		sent string
		good string // of one that isn't revoked, without AllowUnknown
	}{
		"list":                             {revocation.Options{Files: []string{a.list("int")}}, "int", "good"},
		"list, the other certificate":      {revocation.Options{Files: []string{a.list("int")}}, "bare", "unknown"},
		"list, both":                       {revocation.Options{Files: []string{a.list("int")}}, "bare int", "good"},
		"OCSP, the other certificate":      {revocation.Options{OCSP: true}, "bare", "good"},
		"list by the new key, and its own": {revocation.Options{Files: []string{a.list("renewed")}, ListSigners: signer}, "int", "good"},
		"by the new key, all sent": {revocation.Options{Files: []string{a.list("renewed")}, ListSigners: signer},
			"bare int renewed", "good"},
	} {
		for _, allow := range []bool{false, true} {
			o := tt.o
			o.AllowUnknown = allow
			sent := strings.Fields(tt.sent)
			if got := a.throughChain(o, "bad", sent...); got != "revoked" {
				t.Errorf("VULNERABLE: %s, AllowUnknown %t, revoked: got %s", name, allow, got)
			}
			want := tt.good
			if allow {
				want = "good"
			}
			if got := a.throughChain(o, "good", sent...); got != want {
				t.Errorf("%s, AllowUnknown %t, good: got %s, want %s", name, allow, got, want)
			}
		}
	}
	// Without the option the error names it, and nobody else's key counts.
	c := checker(t, revocation.Options{Files: []string{a.list("renewed")}})
	if _, err := c.Revoked(t.Context(), []*x509.Certificate{a.certificate("good"), a.certificate("int"),
		a.certificate("root")}); err == nil ||
		!strings.Contains(err.Error(), "Options.ListSigners") {
		t.Errorf("got %v, want an error that names Options.ListSigners", err)
	}
	other := newAuthority(t, "P-256")
	o := revocation.Options{Files: []string{other.list("int")}, ListSigners: []*x509.Certificate{other.certificate("int")}}
	if got := a.throughChain(o, "good", "int"); got != "unknown" {
		t.Errorf("VULNERABLE: a list by an authority of the same name below another root: got %s, want unknown", got)
	}
	if _, err := revocation.New(revocation.Options{OCSP: true, ListSigners: []*x509.Certificate{nil}}); err == nil ||
		!strings.Contains(err.Error(), "ListSigners: entry 0") {
		t.Errorf("got %v, want an error about ListSigners", err)
	}
	if _, err := revocation.New(revocation.Options{OCSP: true, ListSigners: []*x509.Certificate{a.certificate("bare")}}); err == nil {
		t.Error("ListSigners took the certificate of an authority that may not sign lists")
	}
}

// throughChain asks with the whole chain, of which the root's list has nothing about the issuing authority.
func (a *authority) throughChain(o revocation.Options, leaf string, sent ...string) string {
	a.t.Helper()
	o.Files = append(o.Files[:len(o.Files):len(o.Files)], a.rootList())
	c := &popauth.Certificate{Leaf: a.certificate(leaf), Source: popauth.SourceTLS}
	for _, name := range sent {
		c.Intermediates = append(c.Intermediates, a.certificate(name))
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate("root"))
	source, err := clientcert.Verified(brought{c}, clientcert.Verification{Roots: pool, Revoked: checker(a.t, o).Revoked})
	if err != nil {
		a.t.Fatal(err)
	}
	return word(answered(source))
}

// rootList is the root's, with nobody on it.
func (a *authority) rootList() string {
	a.t.Helper()
	out := a.path("root.crl")
	if _, err := os.Stat(out); err == nil {
		return out
	}
	if err := os.WriteFile(a.path("root-index.txt"), nil, 0o600); err != nil {
		a.t.Fatal(err)
	}
	config := strings.ReplaceAll(authorityConfig, "index.txt", "root-index.txt")
	if err := os.WriteFile(a.path("root.cnf"), []byte(config), 0o600); err != nil {
		a.t.Fatal(err)
	}
	a.run("OCSP;URI:http://127.0.0.1:1/", strings.Fields("ca -config root.cnf -gencrl -keyfile root.key -cert root.pem -out "+out)...)
	return out
}

// Lists as openssl ca writes them.
func TestOpenSSLLists(t *testing.T) {
	a := newAuthority(t, "Ed25519")
	a.issue("good", "client", "Ed25519", "http://127.0.0.1:1/")
	a.issue("bad", "client", "Ed25519", "http://127.0.0.1:1/")
	a.issue("held", "client", "Ed25519", "http://127.0.0.1:1/")
	a.revoke("bad", "superseded")
	a.revoke("held", "certificateHold")
	list := a.list("int")
	a.run("", strings.Fields("crl -in "+list+" -outform DER -out list.der")...)
	for _, file := range []string{list, a.path("list.der")} {
		for name, want := range map[string]string{"good": "good", "bad": "revoked", "held": "revoked"} {
			if got := a.throughChain(revocation.Options{Files: []string{file}}, name, "int"); got != want {
				t.Errorf("%s of %s: got %s, want %s", name, filepath.Base(file), got, want)
			}
		}
	}
	// Over since long: what was revoked stays so, what was on hold is unknown, as what was good.
	over := a.overList()
	for name, want := range map[string]string{"good": "unknown", "bad": "revoked", "held": "unknown"} {
		if got := a.throughChain(revocation.Options{Files: []string{over}}, name, "int"); got != want {
			t.Errorf("%s of a list that is over: got %s, want %s", name, got, want)
		}
	}
}
