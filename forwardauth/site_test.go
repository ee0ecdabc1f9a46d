package forwardauth_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/forwardauth"
	"github.com/seed-171ab058/popauth/proxy"
)

// siteFormat is that of a lab's options.
func siteFormat(o forwardauth.Options) proxy.Format {
	names, _ := o.Guard.Certificate.Headers()
	if slices.Contains(names, "X-Forwarded-Tls-Client-Cert") {
		return proxy.Traefik()
	}
	panic("another format")
}

// A writer is a method of Site that writes a proxy's configuration.
type writer struct {
	name    string
	headers forwardauth.Headers
	format  proxy.Format
	write   func(forwardauth.Site) (string, error)
	other   string // a value that its language can't have in a secret
}

var writers = []writer{
	{"nginx", forwardauth.Nginx(), proxy.Nginx("X-Cert", "X-Verify"), forwardauth.Site.Nginx, "$"},
	{"caddy", forwardauth.Caddy(), proxy.Caddy("X-Cert"), forwardauth.Site.Caddy, "{"},
	{"traefik", forwardauth.Traefik(), proxy.Traefik(), func(s forwardauth.Site) (string, error) {
		static, dynamic, err := s.Traefik("/etc/traefik/dynamic.yaml")
		return static + dynamic, err
	}, ""},
	{"envoy", forwardauth.Envoy(), proxy.Envoy(), forwardauth.Site.Envoy, ""},
	{"ingress-nginx", forwardauth.IngressNginx(), proxy.IngressNginx(), func(s forwardauth.Site) (string, error) {
		return s.IngressNginx(ingress())
	}, "$"},
}

func ingress() forwardauth.Ingress {
	return forwardauth.Ingress{
		Namespace: "shop", Name: "orders", Host: "api.example.com", Certificate: "server", Clients: "clients-ca", API: "orders", Port: 80,
	}
}

// site is one that writer can write.
func (wr writer) site(t *testing.T, change func(*forwardauth.Options)) forwardauth.Site {
	t.Helper()
	l := newLab(t)
	l.o.Headers, l.o.Guard.Certificate = wr.headers, byProxy(wr.format, proxyPeer...)
	if change != nil {
		change(&l.o)
	}
	e := l.endpoint()
	s := forwardauth.Site{
		Endpoint: e, Format: wr.format, Secret: secret, Routes: []forwardauth.Route{{Path: "/orders", Handler: e.Authenticate()}},
		Listen: "443", API: []string{"127.0.0.1:8080"}, Service: []string{"127.0.0.1:9090"}, Certificate: "/c/crt", Key: "/c/key",
	}
	if wr.name == "nginx" {
		s.Clients = "/c/ca"
	}
	return s
}

// Every problem of a site is an error, whatever the proxy is, and nothing is written.
func TestSiteRefuses(t *testing.T) {
	for _, wr := range writers {
		if text, err := wr.write(wr.site(t, nil)); err != nil || text == "" {
			t.Fatalf("%s: %v", wr.name, err)
		}
		for _, tt := range []struct {
			name   string
			change func(*forwardauth.Site)
			want   string
		}{
			{"no Endpoint", func(s *forwardauth.Site) { s.Endpoint = nil }, "Site.Endpoint"},
			{"no secret", func(s *forwardauth.Site) { s.Secret = "" }, "Site.Secret"},
			{"a short secret", func(s *forwardauth.Site) { s.Secret = "short" }, "Site.Secret"},
			{"a secret of two lines", func(s *forwardauth.Site) { s.Secret = secret + "\nX: y" }, "Site.Secret"},
			{"a secret with a space at its end", func(s *forwardauth.Site) { s.Secret = secret + " " }, "Site.Secret"},
			{"a format of another proxy", func(s *forwardauth.Site) { s.Format = proxy.Apache("X-Cert", "X-Verify") }, "doesn't write"},
			{"the zero format", func(s *forwardauth.Site) { s.Format = proxy.Format{} }, "zero Format"},
			{"no format", func(s *forwardauth.Site) { s.Format = nil }, "which the proxy doesn't set"},
			{"no routes", func(s *forwardauth.Site) { s.Routes = nil }, "Site.Routes"},
			{"a route that ends a directive", func(s *forwardauth.Site) { s.Routes[0].Path = `/a" {}` }, "Site.Routes"},
			{"no service", func(s *forwardauth.Site) { s.Service = nil }, "Site.Service"},
			{"a service by URL", func(s *forwardauth.Site) { s.Service = []string{"http://auth"} }, "Site.Service"},
			{"an origin with a path", func(s *forwardauth.Site) { s.CORS = cors("https://a.example/") }, "CORS.Origins"},
			{"an origin of another scheme", func(s *forwardauth.Site) { s.CORS = cors("ftp://a.example") }, "CORS.Origins"},
			{"an origin as no browser sends it", func(s *forwardauth.Site) { s.CORS = cors("https://A.example") }, "CORS.Origins"},
			{"an origin for all", func(s *forwardauth.Site) { s.CORS = cors("*") }, "CORS.Origins"},
			{"null", func(s *forwardauth.Site) { s.CORS = cors("null") }, "CORS.Origins"},
			{"an origin that ends a directive", func(s *forwardauth.Site) { s.CORS = cors(`https://a"; x`) }, "CORS.Origins"},
			{"no origin", func(s *forwardauth.Site) { s.CORS = cors() }, "CORS: Origins"},
			{"a method in lower case", func(s *forwardauth.Site) {
				s.CORS = cors("https://a")
				s.CORS.Methods = []string{"get"}
			}, "CORS.Methods"},
			{"a method that ends a string", func(s *forwardauth.Site) {
				s.CORS = cors("https://a")
				s.CORS.Methods = []string{`G'`}
			}, "CORS.Methods"},
			{"a header that ends a string", func(s *forwardauth.Site) {
				s.CORS = cors("https://a")
				s.CORS.Headers = []string{`A"`}
			}, "CORS.Headers"},
		} {
			s := wr.site(t, nil)
			tt.change(&s)
			if text, err := wr.write(s); err == nil || !strings.Contains(err.Error(), tt.want) || text != "" {
				t.Errorf("%s, %s: got %v, want an error with %q", wr.name, tt.name, err, tt.want)
			}
		}
		if wr.other != "" {
			s := wr.site(t, nil)
			if s.Secret += wr.other + "x"; wr.name == "traefik" {
				continue
			}
			if text, err := wr.write(s); err == nil || text != "" {
				t.Errorf("%s: a secret with %s: got no error", wr.name, wr.other)
			}
		}
	}
}

func cors(origins ...string) *forwardauth.CORS {
	return &forwardauth.CORS{Origins: origins, Methods: []string{"GET"}}
}

// What is the problem of some proxies alone.
func TestSiteRefusesForOne(t *testing.T) {
	files := []string{"nginx", "caddy", "traefik", "envoy"}
	for _, tt := range []struct {
		name    string
		writers []string
		change  func(*forwardauth.Site)
		want    string
	}{
		{"no port", files, func(s *forwardauth.Site) { s.Listen = "" }, "Site.Listen"},
		{"options beside the port", files, func(s *forwardauth.Site) { s.Listen = "443 default_server" }, "Site.Listen"},
		{"no API", files, func(s *forwardauth.Site) { s.API = nil }, "Site.API"},
		{"options beside the API", files, func(s *forwardauth.Site) { s.API = []string{"api:80 backup"} }, "Site.API"},
		{"a relative path", files, func(s *forwardauth.Site) { s.Certificate = "crt" }, "Site.Certificate"},
		{"a key by value", files, func(s *forwardauth.Site) { s.Key = "data:key" }, "Site.Key"},
		{"authorities that nobody asks", files[1:], func(s *forwardauth.Site) { s.Clients = "/c/ca" }, "leave it empty"},
		{"no authorities", files[:1], func(s *forwardauth.Site) { s.Clients = "" }, "Site.Clients"},
		{"a variable in a path", files[:1], func(s *forwardauth.Site) { s.Key = "/$host/key" }, "dollar"},
		{"a placeholder in a path", files[1:2], func(s *forwardauth.Site) { s.Key = "/{env.HOME}" }, "brace"},
		{"what Caddy can't quote", files[1:2], func(s *forwardauth.Site) { s.Secret += "\\`" }, "can't quote"},
		{"a space in a socket's path", files[1:2], func(s *forwardauth.Site) { s.Service = []string{"unix:/a b"} },
			"some of its characters"},
		{"two services", []string{"traefik", "ingress-nginx"}, func(s *forwardauth.Site) { s.Service = append(s.Service, "b:1") },
			"Site.Service"},
		{"a socket", []string{"traefik", "ingress-nginx"}, func(s *forwardauth.Site) { s.Service = []string{"unix:/a"} }, "Site"},
		{"a socket and a name", files[3:], func(s *forwardauth.Site) { s.API = []string{"unix:/a", "b:1"} }, "give an IP address"},
	} {
		for _, wr := range writers {
			if !slices.Contains(tt.writers, wr.name) {
				continue
			}
			s := wr.site(t, nil)
			tt.change(&s)
			if text, err := wr.write(s); err == nil || !strings.Contains(err.Error(), tt.want) || text != "" {
				t.Errorf("%s, %s: got %v, want an error with %q", wr.name, tt.name, err, tt.want)
			}
		}
	}
	s := writers[0].site(t, func(o *forwardauth.Options) { o.Guard.Certificate = nil })
	if _, err := s.Nginx(); err == nil || !strings.Contains(err.Error(), "doesn't read X-Cert") {
		t.Errorf("a format that the Endpoint doesn't read: got %v", err)
	}
	for _, opened := range []popauth.RequestLine{{AllowOtherEncodings: true}, {AllowEncodedSlash: true}} {
		s := writers[3].site(t, func(o *forwardauth.Options) { o.Guard.RequestLine = opened })
		if text, err := s.Envoy(); err == nil || text != "" {
			t.Errorf("Envoy with %+v: got no error", opened)
		}
	}
	if _, _, err := writers[2].site(t, nil).Traefik("dynamic.yaml"); err == nil {
		t.Error("Traefik with a relative path: got no error")
	}
}

// An Endpoint for another proxy, or whose claims are told under a name that the configuration needs, writes nothing.
func TestSiteOtherEndpoint(t *testing.T) {
	for _, wr := range writers {
		for _, headers := range []forwardauth.Headers{
			forwardauth.Nginx(), forwardauth.Traefik(), forwardauth.IngressNginx(), {Method: "X-A", URI: "X-B", Scheme: "X-C", Host: "X-D"},
		} {
			if headers.Method == wr.headers.Method && headers.URL == wr.headers.URL && headers.OneChallenge == wr.headers.OneChallenge {
				continue
			}
			s := wr.site(t, func(o *forwardauth.Options) { o.Headers = headers })
			if text, err := wr.write(s); err == nil || !strings.Contains(err.Error(), "another proxy") || text != "" {
				t.Errorf("%s with %+v: got %v", wr.name, headers, err)
			}
		}
		for _, name := range []string{"X-Real-IP", "x-http-method", "X-Forwarded-Prefix", "X-Original-Host"} {
			s := wr.site(t, func(o *forwardauth.Options) {
				if slices.Contains([]string{o.Headers.Host, o.Headers.URL}, name) {
					return
				}
				o.Claims = map[string]string{name: "a"}
			})
			if text, err := wr.write(s); err == nil && wr.headers.Host != name || err == nil != (text != "") {
				t.Errorf("%s with a claim in %s: got %v", wr.name, name, err)
			}
		}
	}
	s := writers[1].site(t, func(o *forwardauth.Options) { o.Claims = map[string]string{"-X-Tenant": "a"} })
	if _, err := s.Caddy(); err == nil || !strings.Contains(err.Error(), "removal") {
		t.Errorf("a name that Caddy takes for a removal: got %v", err)
	}
}

// What the Endpoint tells, every file has a line for; what stays off without an option is off.
func TestSiteNames(t *testing.T) {
	for _, wr := range writers {
		s := wr.site(t, func(o *forwardauth.Options) { o.Claims = map[string]string{"X-Auth-Tenant": "tenant", "Team": "team"} })
		text, err := wr.write(s)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"X-Auth-Issuer", "X-Auth-Subject", "X-Auth-Client", "X-Auth-Scope", "X-Auth-Binding", "X-Auth-Tenant",
			"Team"} {
			if n := len(regexp.MustCompile(`(?i)\b`+name+`\b`).FindAllString(text, -1)); n < wanted(wr.name, name) {
				t.Errorf("%s: %s stands there %d times, want twice", wr.name, name, n)
			}
		}
		for _, off := range []string{"Access-Control", "allow_origin", "snippet"} {
			if strings.Contains(text, off) {
				t.Errorf("%s has %s", wr.name, off)
			}
		}
		s = wr.site(t, func(o *forwardauth.Options) { o.Guard.Certificate, o.Proxy = nil, trusted(proxyPeer[0]) })
		s.Format, s.Secret, s.Clients = nil, "", ""
		i := ingress()
		i.Clients = ""
		if wr.name == "ingress-nginx" {
			text, err = s.IngressNginx(i)
		} else {
			text, err = wr.write(s)
		}
		asks := regexp.MustCompile(`(?i)optional_no_ca|client_auth|clientAuthType|ACCEPT_UNTRUSTED|X-Proxy-Secret: `)
		if err != nil || asks.MatchString(text) {
			t.Errorf("%s without certificates and secret: got %v\n%s", wr.name, err, text)
		}
	}
}

// The pages that may ask are named, and a route for all the rest is the last.
func TestSiteCORS(t *testing.T) {
	for _, wr := range writers {
		s := wr.site(t, nil)
		s.CORS = &forwardauth.CORS{Origins: []string{"https://app.example:8443"}, Methods: []string{"DELETE"}, Headers: []string{"X-Page"}}
		s.Routes = slices.Insert(s.Routes, 0, forwardauth.Route{Path: "/", Handler: s.Routes[0].Handler})
		text, err := wr.write(s)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"https://app.example:8443", "DELETE", "X-Page", "/orders"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s has no %s", wr.name, want)
			}
		}
	}
	s := writers[0].site(t, func(o *forwardauth.Options) {
		o.Proxy = trusted(append(proxyPeer, proxy.TrustSecret("X-Other-Secret", secret))...)
	})
	if _, err := s.Nginx(); err == nil || !strings.Contains(err.Error(), "2 headers") {
		t.Errorf("two secrets: got %v", err)
	}
	s = writers[0].site(t, nil)
	s.Listen = "192.0.2.1:443"
	if text, err := s.Nginx(); err != nil || !strings.Contains(text, "listen 192.0.2.1:443 ssl") {
		t.Errorf("an address: got %v", err)
	}
	for _, wr := range writers[1:4] {
		s := wr.site(t, nil)
		s.Listen = "[2001:db8::1]:443"
		if text, err := wr.write(s); err != nil || !strings.Contains(text, "2001:db8::1") {
			t.Errorf("%s, an address: got %v", wr.name, err)
		}
	}
}

// wanted is how often a header stands in a file: taken from the client, and set from the answer. Patterns stand for X-Auth-….
func wanted(proxy, header string) int {
	if !strings.HasPrefix(header, "X-Auth-") {
		return 2
	}
	return map[string]int{"nginx": 2, "caddy": 2, "ingress-nginx": 2, "traefik": 1}[proxy]
}

func TestIngressProblems(t *testing.T) {
	wr := writers[4]
	for name, change := range map[string]func(*forwardauth.Ingress){
		"Namespace": func(i *forwardauth.Ingress) { i.Namespace = "a: b" }, "Name": func(i *forwardauth.Ingress) { i.Name = "" },
		"Host": func(i *forwardauth.Ingress) { i.Host = "*.example" }, "Certificate": func(i *forwardauth.Ingress) { i.Certificate = "A" },
		"Clients": func(i *forwardauth.Ingress) { i.Clients = "" }, "API": func(i *forwardauth.Ingress) { i.API = "a.b" },
		"Port": func(i *forwardauth.Ingress) { i.Port = 0 },
	} {
		i := ingress()
		change(&i)
		if text, err := wr.site(t, nil).IngressNginx(i); err == nil || !strings.Contains(err.Error(), "Ingress."+name) || text != "" {
			t.Errorf("%s: got %v", name, err)
		}
	}
	s := wr.site(t, func(o *forwardauth.Options) { o.Guard.Certificate = nil })
	s.Format = nil
	if _, err := s.IngressNginx(ingress()); err == nil || !strings.Contains(err.Error(), "leave it empty") {
		t.Errorf("authorities that nobody asks: got %v", err)
	}
}

// The rules that the Endpoint has opened, and no others, are open in the files.
func TestSiteOdd(t *testing.T) {
	for _, wr := range writers[:2] {
		for sign, opened := range map[string]popauth.RequestLine{
			"|//": {AllowEmptySegments: true}, "|%2f": {AllowEncodedSlash: true}, "|;|%3b": {AllowPathParameters: true},
		} {
			text, err := wr.write(wr.site(t, func(o *forwardauth.Options) { o.Guard.RequestLine = opened }))
			if err != nil || strings.Contains(text, sign) {
				t.Errorf("%s, %+v: got %v, and %s is there", wr.name, opened, err, sign)
			}
			if closed, err := wr.write(wr.site(t, nil)); err != nil || !strings.Contains(closed, sign) {
				t.Errorf("%s: %v, no %s", wr.name, err, sign)
			}
		}
	}
}
