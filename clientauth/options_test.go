package clientauth_test

import (
	"crypto/x509"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

func TestInvalidOptions(t *testing.T) {
	store := clientauth.Static{}
	for _, tt := range []struct {
		name    string
		options clientauth.Options
		want    []string
	}{
		{"everything", clientauth.Options{
			Endpoints: clientauth.PathPrefix("mtls"), Roots: x509.NewCertPool(), Methods: []clientauth.Method{},
			Certificate: popauth.CertificateFunc(nil),
		}, []string{"Clients", "Endpoints", "Certificate", "Roots", "Methods"}},
		{"unknown method", clientauth.Options{Clients: store, Methods: []clientauth.Method{"none"}}, []string{"Methods"}},
		{"method twice", clientauth.Options{Clients: store,
			Methods: []clientauth.Method{clientauth.TLSClientAuth, clientauth.TLSClientAuth}}, []string{"Methods"}},
		{"client without identifier", clientauth.Options{Clients: clientauth.Static{"": {thumbprint(t, popauthtest.SelfSigned(t, "x"))}}},
			[]string{"Clients"}},
		{"client with a strange identifier", clientauth.Options{Clients: clientauth.Static{"ä": {thumbprint(t,
			popauthtest.SelfSigned(t, "x"))}}}, []string{"Clients"}},
		{"client without registration", clientauth.Options{Clients: clientauth.Static{"a": nil}}, []string{"Clients"}},
		{"registration without credential", clientauth.Options{Clients: clientauth.Static{"a": {{}}}}, []string{"Clients"}},
	} {
		a, err := clientauth.New(tt.options)
		if err == nil || a != nil {
			t.Errorf("%s: got %v, want an error", tt.name, a)
			continue
		}
		lines := strings.Split(err.Error(), "\n")
		for i, field := range tt.want {
			if len(lines) != len(tt.want) || !strings.HasPrefix(lines[i], "clientauth: Options."+field+": ") {
				t.Errorf("%s: got %q, want a line each for %q", tt.name, lines, tt.want)
				break
			}
		}
	}
}

func TestInvalidEndpoints(t *testing.T) {
	for name, e := range map[string]clientauth.Endpoints{
		"path empty": clientauth.PathPrefix(""), "path relative": clientauth.PathPrefix("mtls"), "root": clientauth.PathPrefix("/"),
		"relative, longer": clientauth.PathPrefix("connect/mtls"),
		"slash at the end": clientauth.PathPrefix("/mtls/"), "empty segment": clientauth.PathPrefix("/a//mtls"),
		"dots": clientauth.PathPrefix("/a/../mtls"), "dot": clientauth.PathPrefix("/."), "query": clientauth.PathPrefix("/mtls?x"),
		"escaped": clientauth.PathPrefix("/mt%6Cs"), "space": clientauth.PathPrefix("/m tls"), "pattern": clientauth.PathPrefix("/{x}"),
		"label empty": clientauth.Subdomain(""), "two labels": clientauth.Subdomain("mtls.id"),
		"label with port": clientauth.Subdomain("mtls:1"),
		"domain empty":    clientauth.Domain(""), "scheme": clientauth.Domain("https://mtls.example.com"),
		"path": clientauth.Domain("mtls.example.com/x"),
		"user": clientauth.Domain("u@mtls.example.com"), "port empty": clientauth.Domain("mtls.example.com:"),
		"port 0":         clientauth.Domain("m.example:0"),
		"port too large": clientauth.Domain("m.example:65536"), "port no number": clientauth.Domain("m.example:https"),
		"port alone": clientauth.Domain(":443"),
	} {
		if _, err := clientauth.New(clientauth.Options{Clients: clientauth.Static{}, Endpoints: e}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// What was given to New may be changed afterwards without effect.
func TestOptionsAreCopied(t *testing.T) {
	ca, other := popauthtest.NewCA(t), popauthtest.NewCA(t)
	options := clientauth.Options{
		Clients: clientauth.Static{"batch": {{Credential: must(t)(clientauth.SubjectDN("CN=batch"))}}},
		Roots:   ca.Pool(), Methods: []clientauth.Method{clientauth.TLSClientAuth},
	}
	a := newAuth(t, options)
	options.Roots.AddCert(other.Certificate)
	options.Methods[0] = clientauth.SelfSignedTLSClientAuth
	send(a, post(ca.Client("batch"), form)).passed(t, "batch")
	send(a, post(other.Client("batch"), form)).refused(t, clientauth.ErrCertificateUntrusted, 401, "invalid_client")
}

func TestOptionsShape(t *testing.T) {
	shape := reflect.TypeFor[clientauth.Options]()
	if shape.Comparable() {
		t.Error("Options can be compared")
	}
	if shape.Field(0).IsExported() {
		t.Error("Options can be written without field names")
	}
}

func TestStaticFromJSON(t *testing.T) {
	owner := popauthtest.SelfSigned(t, "batch")
	var clients clientauth.Static
	err := json.Unmarshal([]byte(`{"batch":[{"credential":"san_ip=10.0.0.1","expires":"2020-01-01T00:00:00Z"},`+
		`{"credential":"thumbprint=`+owner.Thumbprint()+`"}]}`), &clients)
	if err != nil {
		t.Fatal(err)
	}
	if clients["batch"][0].Expires.Year() != 2020 || !clients["batch"][1].Expires.IsZero() {
		t.Errorf("got %+v", clients)
	}
	send(newAuth(t, clientauth.Options{Clients: clients}), post(owner, form)).passed(t, "batch")
	for _, in := range []string{`{"a":[{"credential":""}]}`, `{"a":[{"credential":"x"}]}`, `{"a":[{"credential":1}]}`} {
		if err := json.Unmarshal([]byte(in), &clients); err == nil {
			t.Errorf("%s: no error", in)
		}
	}
}
