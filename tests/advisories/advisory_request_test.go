package advisories_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"go/version"
	"log/slog"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// The key that the handshake has proven counts: no other certificate of the chain, no header and no name.
func TestAdvisoryOnlyTheLeafCounts(t *testing.T) {
	l := lab.New(t, "ES256")
	g := l.Guard()
	token := l.Bound()
	l.Genuine(t, g, token)
	leaf := l.Owner.Request("GET", "/", token).TLS.PeerCertificates[0]
	own := l.Thief.Request("GET", "/", token).TLS.PeerCertificates[0]
	t.Run("CVE-2023-2422 victim behind", func(t *testing.T) {
		r := l.Thief.Request("GET", "/", token)
		r.TLS.PeerCertificates = []*x509.Certificate{own, leaf, leaf}
		r.TLS.VerifiedChains = [][]*x509.Certificate{{leaf}}
		l.Steal(t, g, r)
	})
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw}))
	for _, name := range []string{
		"CVE-2024-10039 Client-Cert", "CVE-2025-64484 Client_Cert", "CVE-2025-64484 client-cert", "X-Forwarded-Client-Cert",
		"X-SSL-Client-Cert", "X-Client-Cert",
		"Ssl-Client-Cert", "X-Amzn-Mtls-Clientcert", "X-Arr-Clientcert", "X-Forwarded-Tls-Client-Cert", "Cf-Client-Cert-Der-Base64",
	} {
		t.Run(name, func(t *testing.T) {
			header := name[strings.LastIndexByte(name, ' ')+1:]
			for _, value := range []string{
				":" + strings.ReplaceAll(lab.B64(leaf.Raw), "-", "+") + ":", url.QueryEscape(text), strings.ReplaceAll(text, "\n", " "),
				"Hash=x;Cert=\"" + url.QueryEscape(text) + "\"",
			} {
				r := l.Thief.Request("GET", "/", token)
				r.Header[header] = []string{value}
				l.Steal(t, g, r)
				r.TLS = nil // as behind a proxy that terminates TLS
				l.Steal(t, g, r)
			}
		})
	}
	t.Run("CVE-2025-48865 header taken away on the way", func(t *testing.T) {
		none := lab.SourceFunc(func(*http.Request) (*popauth.Certificate, error) { return nil, nil })
		g := l.Guard(func(o *popauth.Options) { o.Certificate = none })
		r := l.Owner.Request("GET", "/", token) // with the proxy's certificate on the connection
		r.Header.Set("Connection", "Client-Cert")
		l.Steal(t, g, r)
	})
}

// A certificate with the owner's name, or with the owner's key, is another certificate.
func TestAdvisoryCertificateLookalike(t *testing.T) {
	l := lab.New(t, "ES256")
	g := l.Guard()
	token := l.Bound()
	l.Genuine(t, g, token)
	key, _ := l.Owner.Certificate.PrivateKey.(*ecdsa.PrivateKey)
	template := l.Owner.Request("GET", "/", "").TLS.PeerCertificates[0]
	for name, signer := range map[string]*ecdsa.PrivateKey{"CVE-2024-2048 same name": nil,
		"CVE-2026-39388 renewed with the same key": key} {
		t.Run(name, func(t *testing.T) {
			if signer == nil {
				signer, _ = l.Thief.Certificate.PrivateKey.(*ecdsa.PrivateKey)
			}
			again := &x509.Certificate{
				SerialNumber: new(big.Int).Add(template.SerialNumber, big.NewInt(1)), Subject: template.Subject,
				DNSNames:  template.DNSNames,
				NotBefore: template.NotBefore, NotAfter: template.NotAfter.Add(time.Hour),
			}
			der, err := x509.CreateCertificate(rand.Reader, again, again, &signer.PublicKey, signer)
			if err != nil {
				t.Fatal(err)
			}
			other := &popauthtest.Client{Certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: signer}}
			l.Steal(t, g, other.Request("GET", "/", token))
		})
	}
}

// The connection decides, whatever host the request names, or none; and a resumed session is its first handshake.
func TestAdvisoryHostAndConnection(t *testing.T) {
	l := lab.New(t, "ES256")
	spy := &popauthtest.Spy{Next: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Resumed", fmt.Sprint(r.TLS.DidResume))
	})}
	server := popauthtest.NewServer(t, l.Guard().Confirm(spy))
	token := l.Bound()
	ask := func(c *http.Client, host string) *http.Response {
		r, err := http.NewRequest("GET", server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Host, r.Close = host, true
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	with := func(c *popauthtest.Client, change func(*tls.Config)) *http.Client {
		h := c.HTTP(server)
		transport, _ := h.Transport.(*http.Transport)
		transport.DisableKeepAlives = true
		change(transport.TLSClientConfig)
		return h
	}
	for _, name := range []string{"CVE-2018-21246", "CVE-2022-23632", "CVE-2026-50149"} {
		for _, host := range []string{"", "api.example.com", "127.0.0.1", "other.example:8443"} {
			t.Run(name+" "+host, func(t *testing.T) {
				sni := func(c *tls.Config) { c.ServerName, c.InsecureSkipVerify = "", true }
				if name == "CVE-2022-23632" {
					sni = func(c *tls.Config) { c.ServerName, c.InsecureSkipVerify = "public.example.com", true }
				}
				if got := ask(with(l.Owner, sni), host).StatusCode; got != 200 {
					t.Errorf("owner: got %d, want 200", got)
				}
				ran := spy.Ran()
				if got := ask(with(l.Thief, sni), host).StatusCode; got != 401 || spy.Ran() != ran {
					t.Errorf("VULNERABLE: thief: got %d, want 401", got)
				}
			})
		}
	}
	t.Run("CVE-2025-23419 CVE-2025-23048 CVE-2025-68121 resumed", func(t *testing.T) {
		for _, c := range []struct {
			client *popauthtest.Client
			want   int
		}{{l.Owner, 200}, {l.Thief, 401}} {
			sessions := tls.NewLRUClientSessionCache(4)
			resumed := false
			for range 4 {
				resp := ask(with(c.client, func(t *tls.Config) { t.ClientSessionCache = sessions }), "")
				if resp.StatusCode != c.want {
					t.Errorf("VULNERABLE: got %d, want %d", resp.StatusCode, c.want)
				}
				resumed = resumed || resp.Header.Get("Resumed") == "true"
			}
			if c.want == 200 && !resumed {
				t.Error("no session was resumed: this shows nothing")
			}
			// The session of one with the certificate of another: the first handshake counts.
			other := map[int]*popauthtest.Client{200: l.Thief, 401: l.Owner}[c.want]
			h := with(other, func(t *tls.Config) { t.ClientSessionCache = sessions })
			if resp := ask(h, ""); resp.Header.Get("Resumed") == "true" && resp.StatusCode != c.want {
				t.Errorf("VULNERABLE: got %d, want %d", resp.StatusCode, c.want)
			}
		}
	})
}

// Whatever is remembered or shared between requests, each gets the claims of its own token.
func TestAdvisoryTokensAreNotMixedUp(t *testing.T) {
	l := lab.New(t, "ES256")
	g := l.Guard()
	for _, name := range []string{"CVE-2026-35039", "CVE-2026-71326", "CVE-2024-51987", "CVE-2026-33544"} {
		t.Run(name, func(t *testing.T) {
			var group sync.WaitGroup
			for i := range 64 {
				// One kid, jti, client and length; as little difference as there can be.
				subject := fmt.Sprintf("user-%02d", i)
				good := l.Bound(lab.Claims{"jti": "same", "sub": subject})
				bad := l.Bound(lab.Claims{"jti": "same", "sub": subject, "exp": 1})
				bad = good[:strings.LastIndexByte(good, '.')] + bad[strings.LastIndexByte(bad, '.'):]
				group.Go(func() {
					p, err := g.Check(l.Owner.Request("GET", "/", good))
					if err != nil || p.Subject != subject {
						t.Errorf("VULNERABLE: got %v, %v, want %s", p, err, subject)
					}
				})
				group.Go(func() {
					if p, err := g.Check(l.Owner.Request("GET", "/", bad)); err == nil {
						t.Errorf("VULNERABLE: got %v for a forged token", p)
					}
				})
			}
			group.Wait()
		})
	}
	t.Run("CVE-2021-32701 seen before", func(t *testing.T) {
		token := l.Bound()
		l.Genuine(t, g, token)
		h := g.Authorize(popauth.Scope("admin"))
		lab.Send(h, l.Owner.Request("GET", "/", token)).Refused(t, 403, lab.LacksScope)
		l.Steal(t, g, l.Thief.Request("GET", "/", token))
		o := l.Issuer.Options("https://other.example")
		other, err := popauth.New(o)
		if err != nil {
			t.Fatal(err)
		}
		l.Forged(t, other, token, popauth.ErrTokenAudience)
		l.Clock.Advance(time.Hour)
		l.Forged(t, g, token, popauth.ErrTokenExpired)
	})
}

// The tokens of a request end in no log and in no answer, good ones neither.
func TestAdvisoryTokenIsToldNobody(t *testing.T) {
	l := lab.New(t, "ES256")
	var log bytes.Buffer
	g := l.Guard(func(o *popauth.Options) {
		o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	markup := `<script>alert(1)</script>"\` + "\r\nSet-Cookie: a=b"
	other := lab.New(t, "ES256")
	for _, tt := range []struct{ name, token string }{
		{"CVE-2026-40945 good", l.Bound()},
		{"CVE-2026-40945 expired", l.Bound(lab.Claims{"exp": 1})},
		{"CVE-2019-7644 signature", l.Bound()[:strings.LastIndexByte(l.Bound(), '.')+1] + lab.B64(make([]byte, 64))},
		{"CVE-2022-29266 another key", other.Bound(lab.Claims{"iss": l.Issuer.URL})},
		{"CVE-2026-33758 markup in kid", l.Issuer.TokenWith(lab.Claims{"kid": markup}, l.Owner.Bound())},
		{"CVE-2026-33758 markup in alg", lab.Compact(lab.Claims{"alg": markup, "typ": "at+jwt"}, l.Claims(), unsigned)},
		{"CVE-2026-33758 markup in claims", l.Bound(lab.Claims{"iss": markup, "sub": markup})},
		{"CVE-2026-33758 markup for a token", markup},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, stage := range lab.Stages(g) {
				o := lab.Send(stage, l.Owner.Request("GET", "/", tt.token))
				l.Reflects(t, o, tt.token)
				if all := fmt.Sprint(o.Header, o.Body); strings.Contains(all, "<script") || strings.Contains(all, "Set-Cookie") {
					t.Errorf("VULNERABLE: %q", all)
				}
			}
			for _, part := range append(strings.Split(tt.token, "."), tt.token) {
				if len(part) > 8 && strings.Contains(log.String(), part) {
					t.Errorf("VULNERABLE: the log has %.60q", part)
				}
			}
		})
	}
	if !strings.Contains(log.String(), string(popauth.ErrTokenSignature)) || !strings.Contains(log.String(), string(popauth.ErrTokenKey)) {
		t.Errorf("the log lacks what it is for: %s", &log)
	}
}

// A token in a URL gets into logs and Referer: it is no credential, alone or beside another.
func TestAdvisoryTokenInTheQuery(t *testing.T) {
	l := lab.New(t, "ES256")
	var log bytes.Buffer
	g := l.Guard(func(o *popauth.Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	token := l.Bound()
	t.Run("CVE-2026-44883", func(t *testing.T) {
		for _, name := range []string{"access_token", "token", "jwt", "bearer", "authorization"} {
			r := l.Owner.Request("GET", "/?"+name+"="+token, "")
			if o := lab.Send(g.Confirm, r); o.Ran || o.Status != 401 {
				t.Errorf("VULNERABLE: %s: got %d, ran %t, want 401", name, o.Status, o.Ran)
			}
		}
		lab.Send(g.Confirm, l.Owner.Request("GET", "/?access_token="+token, token)).Refused(t, 400, lab.InvalidRequest)
		lab.Send(g.Confirm, l.Owner.Request("GET", "/?%61%63%63%65%73%73%5f%74%6f%6B%65%6E="+token, token)).Refused(t, 400,
			lab.InvalidRequest)
		if strings.Contains(log.String(), token[:40]) {
			t.Error("VULNERABLE: the log has the token")
		}
	})
}

// There is no list of paths that need no token: whatever the path looks like, the handler behind a Guard is guarded.
func TestAdvisoryPathsAreNotLookedAt(t *testing.T) {
	l := lab.New(t, "ES256")
	g := l.Guard()
	for _, path := range []string{
		"/", "//", "/public", "/public/../orders", "/public/%2e%2e/orders", "/%2fpublic", "//public", "/public;x", "/public%23",
		"/orders?/public", "/orders?path=/health", "/.well-known/x", "/ORDERS", "/orders/%00", "/healthz", "/favicon.ico", "/login", "*",
	} {
		t.Run("CVE-2023-4853 CVE-2026-42274 "+path, func(t *testing.T) {
			r := l.Owner.Request("GET", "/", "")
			if u, err := url.ParseRequestURI(path); err == nil {
				r.URL, r.RequestURI = u, path
			}
			for _, method := range []string{"GET", "OPTIONS", "HEAD", "TRACE", "CONNECT", "get", "X"} {
				r.Method = method
				r.Header.Set("X-Forwarded-Uri", "/public")
				r.Header.Set("X-Original-Url", "/public")
				r.Header.Set("X-Http-Method-Override", "OPTIONS")
				if o := lab.Send(g.Authenticate, r); o.Ran || o.Status != 400 && (o.Status != 401 || method != "OPTIONS") {
					t.Errorf("VULNERABLE: %s %s: got %d, ran %t, want 400", method, path, o.Status, o.Ran)
				}
				r.Header.Del("X-Http-Method-Override")
				if o := lab.Send(g.Authenticate, r); o.Ran || o.Status != 401 && (popauth.RequestLine{}).Check(r) == nil {
					t.Errorf("VULNERABLE: %s %s: got %d, ran %t, want 401", method, path, o.Status, o.Ran)
				}
			}
		})
	}
	l.Genuine(t, g, l.Bound())
}

// A bad token is no anonymous caller.
func TestAdvisoryBadTokenIsNotAnonymous(t *testing.T) {
	l := lab.New(t, "ES256")
	g := l.Guard()
	t.Run("CVE-2022-29165", func(t *testing.T) {
		for _, token := range []string{"x", "e30.e30.", lab.Compact(`{"alg":"none"}`, l.Claims(), unsigned),
			l.Bound(lab.Claims{"exp": 1})} {
			r := l.Owner.Request("GET", "/", token)
			r = r.WithContext(popauth.NewContext(context.Background(), &popauth.Principal{Subject: "admin"}))
			if o := lab.Send(g.Authenticate, r); o.Ran || o.Status != 401 {
				t.Errorf("VULNERABLE: got %d, ran %t, want 401", o.Status, o.Ran)
			}
		}
	})
	l.Genuine(t, g, l.Bound())
}

// The standard library's own faults in TLS and X.509 are mended in the release that go.mod asks for, and the go command
// builds with none before it.
func TestAdvisoryToolchain(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(mod), "\ngo ")
	release, _, _ := strings.Cut(rest, "\n")
	if version.Compare("go"+release, "go1.26") < 0 {
		t.Errorf("VULNERABLE: go.mod asks for Go %s, want 1.26", release)
	}
	if strings.Contains(string(mod), "golang.org/x/net") {
		t.Error("VULNERABLE: HTTP/2 is the standard library's, which security releases reach")
	}
}
