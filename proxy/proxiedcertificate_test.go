package proxy_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/internal/lab"
)

// someProxy is a proxy of nobody's make: it says that it is the proxy in one header, and gives a certificate's number in another.
func someProxy(t *testing.T, all ...*popauth.Certificate) popauth.CertificateSource {
	t.Helper()
	source, err := popauth.ProxiedCertificate(popauth.ProxiedOptions{
		Proxied: func(r *http.Request) (bool, error) {
			if r.Header.Get("X-Mark") == "broken" {
				return false, popauth.ErrProxySecret
			}
			return r.Header.Get("X-Mark") != "", nil
		},
		Certificate: func(r *http.Request) (*popauth.Certificate, error) {
			switch n := r.Header.Get("X-Number"); {
			case n == "":
				return nil, nil
			case int(n[0]-'0') < len(all):
				return all[n[0]-'0'], nil
			}
			return nil, errors.New("no such number")
		},
		Headers: []string{"X-Number"}, Marks: []string{"X-Mark"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// Nothing falls back: what has come by the proxy counts as the proxy says, and all else as its connection does.
func TestProxiedCertificate(t *testing.T) {
	l := lab.New(t)
	owners, err := popauth.NewCertificate("some", l.Owner.Certificate.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	source := someProxy(t, owners, &popauth.Certificate{})
	guard := l.Guard(func(o *popauth.Options) { o.Certificate = source })
	for _, tt := range []struct {
		name, mark, number string
		status             int // 0 to pass
	}{
		{name: "by the proxy, with the owner's certificate", mark: "yes", number: "0"},
		{name: "by the proxy, with none", mark: "yes", status: 401},
		{name: "by the proxy, with one without content", mark: "yes", number: "1", status: 400},
		{name: "by the proxy, with one that can't be read", mark: "yes", number: "2", status: 400},
		{name: "around the proxy, with a header of its own", number: "0", status: 401},
		{name: "neither", mark: "broken", number: "0", status: 400},
	} {
		r := l.Thief.Request("GET", "/orders", l.Bound())
		for name, value := range map[string]string{"X-Mark": tt.mark, "X-Number": tt.number} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		got := lab.Send(lab.Chain(guard.Confirm, lab.Tap(func(r *http.Request) {
			if r.Header["X-Mark"] != nil || r.Header["X-Number"] != nil {
				t.Errorf("%s: the headers are there", tt.name)
			}
		})), r)
		if got.Ran != (tt.status == 0) || !got.Ran && got.Status != tt.status {
			t.Errorf("%s: got %d, ran %t", tt.name, got.Status, got.Ran)
		}
	}
	lab.Send(guard.Confirm, l.Owner.Request("GET", "/orders", l.Bound())).Passed(t)
}

// What a source returns again is its own: nobody outside gets it, whatever he does to it.
func TestProxiedCertificateIsCopied(t *testing.T) {
	l := lab.New(t)
	owners, err := popauth.NewCertificate("some", l.Owner.Certificate.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	said := *owners
	said.Thumbprint = l.Thief.Thumbprint() // no source's word
	source := someProxy(t, owners, &said)
	for _, number := range []string{"0", "1"} {
		r := lab.ViaProxy("", "X-Mark", "yes", "X-Number", number)
		c, err := source.Certificate(r)
		if err != nil || c == owners || c == &said || c.Thumbprint != l.Owner.Thumbprint() {
			t.Fatalf("%s: got %+v, %v, want a copy with the thumbprint of the bytes", number, c, err)
		}
		*c = popauth.Certificate{}
		if c, err = source.Certificate(r); err != nil || c.Thumbprint != l.Owner.Thumbprint() {
			t.Errorf("VULNERABLE: %s: got %+v, %v after somebody has changed his own", number, c, err)
		}
	}
}

func TestProxiedOptions(t *testing.T) {
	proxied := func(*http.Request) (bool, error) { return false, nil }
	find := func(*http.Request) (*popauth.Certificate, error) { return nil, nil }
	for want, o := range map[string]popauth.ProxiedOptions{
		"Proxied": {Certificate: find}, "Certificate": {Proxied: proxied},
		"Headers": {Proxied: proxied, Certificate: find, Headers: []string{""}},
		"Marks":   {Proxied: proxied, Certificate: find, Marks: []string{""}},
	} {
		if s, err := popauth.ProxiedCertificate(o); s != nil || err == nil ||
			!strings.HasPrefix(err.Error(), "popauth: ProxiedOptions."+want+": ") {
			t.Errorf("%s: got %v, %v", want, s, err)
		}
	}
}

// Who the peer of the connection in a context is says nothing about a request that somebody has made with that context: not
// for a source that reads no header either.
func TestProxiedCertificateOfAnotherRequest(t *testing.T) {
	l := lab.New(t)
	owners, err := popauth.NewCertificate("some", l.Owner.Certificate.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	source, err := popauth.ProxiedCertificate(popauth.ProxiedOptions{
		Proxied:     func(*http.Request) (bool, error) { return true, nil },
		Certificate: func(*http.Request) (*popauth.Certificate, error) { return owners, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	guard := l.Guard(func(o *popauth.Options) { o.Certificate = source })
	asked := lab.Tap(func(r *http.Request) {
		if err := popauth.CheckContext(r); !errors.Is(err, popauth.ErrAnotherRequest) {
			t.Errorf("got %v, want %s", err, popauth.ErrAnotherRequest)
		}
	})
	lab.Send(lab.Chain(popauth.ClientCertificate(source), remade, asked, guard.Confirm), lab.ViaProxy(l.Bound())).Refused(t, 500, "")
	passes := lab.Tap(func(r *http.Request) {
		if err := popauth.CheckContext(r); err != nil {
			t.Errorf("its own context: got %v", err)
		}
	})
	lab.Send(lab.Chain(passes, popauth.ClientCertificate(source), passes, guard.Confirm), lab.ViaProxy(l.Bound())).Passed(t)
}

// It goes by the request alone: a handler between two stages that has found another certificate, as of the proxy's own
// connection, changes nothing about what the first stage has decided.
func TestProxiedCertificateGoesByItself(t *testing.T) {
	l := lab.New(t)
	owners, err := popauth.NewCertificate("some", l.Owner.Certificate.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	g := l.Guard(func(o *popauth.Options) { o.Certificate = someProxy(t, owners) })
	r := l.Thief.Request("GET", "/orders", l.Bound()) // over the proxy's own connection
	r.Header.Set("X-Mark", "yes")
	r.Header.Set("X-Number", "0")
	proxys := clientcert.Require(popauth.TLSCertificateAnyHost(), clientcert.Thumbprint(l.Thief.Thumbprint()))
	lab.Send(lab.Chain(g.Confirm, proxys, g.Confirm), r).Passed(t)
}
