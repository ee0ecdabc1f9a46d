package main

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/seed-171ab058/popauth/clientauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// TestToken sends what a token server gets, and looks at what the token is bound to. None is issued to the refused.
func TestToken(t *testing.T) {
	for _, mtls := range []string{"127.0.0.1:0", "/mtls"} {
		t.Run(mtls, func(t *testing.T) {
			w := newWorld(t, mtls)
			plain, certified := w.metadata.Token, w.mtls
			key := popauthtest.NewProofKey(t, "")
			const cert, jkt, unbound = "x5t#S256", "jkt", "nothing"
			as := func(id string) url.Values { return request("client_id", id, "resource", "https://a.example") }
			bearer := func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }
			again := func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }
			for _, tt := range []struct {
				name     string
				client   *popauthtest.Client
				endpoint string
				form     url.Values
				changes  []change
				want     string // what the token is bound to, or the error
			}{
				{"certificate by subject", w.batch, certified, as("batch"), nil, cert},
				{"certificate by thumbprint", w.edge, certified, as("edge"), nil, cert},
				{"certificate and proof", w.batch, certified, as("batch"), []change{proof(key, certified)}, jkt},
				{"client_id under Basic", w.batch, certified, as(""), []change{basic("batch", "")}, cert},
				{"no certificate", nil, certified, as("batch"), nil, "invalid_client"},
				{"another's certificate", w.other, certified, as("batch"), nil, "invalid_client"},
				{"another client's", w.edge, certified, as("batch"), nil, "invalid_client"},
				{"self-signed with the name", popauthtest.SelfSigned(t, "orders-batch"), certified, as("batch"), nil, "invalid_client"},
				{"certificate expired", w.old, certified, as("batch"), nil, "invalid_client"},
				{"registration expired", w.batch, certified, as("gone"), nil, "invalid_client"},
				{"unknown", w.batch, certified, as("nobody"), nil, "invalid_client"},
				{"certificate on the ordinary endpoint", w.batch, plain, as("batch"), nil, "invalid_client"},
				{"and with a secret", w.batch, certified, as("batch"), []change{basic("batch", "secret")}, "invalid_client"},
				{"secret of another client, too", w.batch, certified, request("client_id", "batch", "client_secret", "secret"), nil,
					"invalid_client"},
				{"no proof from one that must", w.batch, certified, as("key"), nil, "invalid_dpop_proof"},
				{"proof from one that must", w.batch, certified, as("key"), []change{proof(key, certified)}, jkt},
				{"proof for the other endpoint", w.batch, certified, as("key"), []change{proof(key, plain+"/x")}, "invalid_dpop_proof"},
				{"two proofs", w.batch, certified, as("key"), []change{proof(key, certified), proof(key, certified)}, "invalid_dpop_proof"},
				{"secret", nil, plain, as(""), []change{basic("web", "secret")}, unbound},
				{"secret in the form", nil, plain, request("client_id", "web", "client_secret", "secret"), nil, unbound},
				{"secret and proof", nil, plain, as(""), []change{basic("web", "secret"), proof(key, plain)}, jkt},
				{"secret with a certificate, not registered for that", w.other, certified, as(""), []change{basic("web", "secret")},
					unbound},
				{"secret with a certificate", w.other, certified, as(""), []change{basic("bound", "secret")}, cert},
				{"secret with certificate and proof", w.other, certified, as(""),
					[]change{basic("bound", "secret"), proof(key, certified)}, jkt},
				{"secret without the certificate", nil, plain, as(""), []change{basic("bound", "secret")}, "invalid_client"},
				{"secret with one on the ordinary endpoint", w.other, plain, as(""), []change{basic("bound", "secret")}, "invalid_client"},
				{"wrong secret", nil, plain, as(""), []change{basic("web", "wrong")}, "invalid_client"},
				{"expired secret", nil, plain, as(""), []change{basic("web", "expired")}, "invalid_client"},
				{"no secret", nil, plain, as("web"), nil, "invalid_client"},
				{"no secret for one with certificates", nil, plain, as(""), []change{basic("batch", "")}, "invalid_client"},
				{"another scheme", nil, plain, as("web"), []change{bearer}, "invalid_request"},
				{"assertion", nil, plain, request("client_id", "web", "client_assertion", "x"), nil, "invalid_client"},
				{"secret twice", nil, plain, request("client_secret", "secret"), []change{basic("web", "secret")}, "invalid_request"},
				{"secret and assertion", nil, plain, request("client_assertion", "x"), []change{basic("web", "secret")}, "invalid_client"},
				{"two Authorization lines", nil, plain, as(""), []change{basic("web", "secret"), again}, "invalid_request"},
				{"two identifiers", nil, plain, as("batch"), []change{basic("web", "secret")}, "invalid_request"},
				{"parameter twice", nil, plain, request("scope", "read", "scope", "write"), []change{basic("web", "secret")},
					"invalid_request"},
				{"parameter in the URL", nil, plain + "?scope=read", as(""), []change{basic("web", "secret")}, "invalid_request"},
				{"too large", nil, plain, request("x", strings.Repeat("x", maxForm)), []change{basic("web", "secret")}, "invalid_request"},
				{"another grant", nil, plain, url.Values{"grant_type": {"password"}}, []change{basic("web", "secret")},
					"unsupported_grant_type"},
				{"refresh", nil, plain, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}},
					[]change{basic("web", "secret")}, "unauthorized_client"},
				{"code", nil, plain, url.Values{"grant_type": {"authorization_code"}, "code": {"x"}}, []change{basic("web", "secret")},
					"unauthorized_client"},
				{"scope of others", nil, plain, request("scope", "read write"), []change{basic("web", "secret")}, "invalid_scope"},
				{"resource of others", nil, plain, request("resource", "https://b.example"), []change{basic("web", "secret")},
					"invalid_target"},
				{"one of two resources", nil, plain, request("resource", "https://a.example", "resource", "https://b.example"),
					[]change{basic("web", "secret")}, "invalid_target"},
				{"which of two resources", w.batch, certified, request("client_id", "batch"), nil, "invalid_target"},
			} {
				t.Run(tt.name, func(t *testing.T) {
					got := w.post(tt.client, tt.endpoint, tt.form, tt.changes...)
					switch tt.want {
					case cert:
						bound(t, got, "Bearer", clientauth.Confirmation{Thumbprint: tt.client.Thumbprint()})
					case jkt:
						bound(t, got, "DPoP", clientauth.Confirmation{JKT: key.Thumbprint()})
					case unbound:
						bound(t, got, "Bearer", clientauth.Confirmation{})
					default:
						if got.Token != "" {
							t.Error("VULNERABLE: a token was issued")
						}
						if got.Error != tt.want || got.status < 400 || got.status >= 500 {
							t.Errorf("got %d %s, want %s\n%s", got.status, got.Error, tt.want, w.log)
						}
					}
				})
			}
		})
	}
}

// bound asserts what a token is bound to, by the token's own words.
func bound(t *testing.T, got answer, tokenType string, want clientauth.Confirmation) {
	t.Helper()
	if got.status != http.StatusOK || got.Type != tokenType {
		t.Fatalf("got %d %s, token_type %q, want %q", got.status, got.Error, got.Type, tokenType)
	}
	parts := strings.Split(got.Token, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1]) // its signature: TestTokenAtAPI
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Confirmation *clientauth.Confirmation `json:"cnf"`
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		t.Fatal(err)
	}
	if want == (clientauth.Confirmation{}) && c.Confirmation == nil {
		return
	}
	if c.Confirmation == nil || *c.Confirmation != want {
		t.Errorf("got cnf %+v, want %+v", c.Confirmation, want)
	}
}

// TestTokenAtAPI holds the tokens against a Guard that finds the keys by the server's metadata.
func TestTokenAtAPI(t *testing.T) {
	w := newWorld(t, "127.0.0.1:0")
	key := popauthtest.NewProofKey(t, "")
	form := request("client_id", "batch", "resource", "https://b.example", "scope", "read")
	byCertificate := w.post(w.batch, w.mtls, form)
	p, err := w.present("https://b.example", w.batch.Request("GET", "/", byCertificate.Token))
	if err != nil || p.ClientID != "batch" || p.Subject != "batch" || !slices.Equal(p.Scopes, []string{"read"}) ||
		!slices.Equal(p.Audience, []string{"https://b.example"}) || p.TokenID == "" || p.ExpiresAt.IsZero() || p.IssuedAt.IsZero() {
		t.Fatalf("got %+v, %v", p, err)
	}
	for name, r := range map[string]*http.Request{
		"another's certificate": w.other.Request("GET", "/", byCertificate.Token),
		"none":                  (*popauthtest.Client)(nil).Request("GET", "/", byCertificate.Token),
	} {
		if _, err := w.present("https://b.example", r); err == nil {
			t.Errorf("VULNERABLE: %s opens the API", name)
		}
	}
	if _, err := w.present("https://a.example", w.batch.Request("GET", "/", byCertificate.Token)); err == nil {
		t.Error("VULNERABLE: a token for one API opens another")
	}
	brief := w.post(w.edge, w.mtls, request("client_id", "edge"))
	p, err = w.present("https://a.example", w.edge.Request("GET", "/", brief.Token))
	if err != nil || p.ExpiresAt.Sub(p.IssuedAt) != 7*time.Second || brief.Seconds != 7 || byCertificate.Seconds != 60 {
		t.Errorf("got %+v, %v, expires_in %d and %d, want 7 s and 60 s", p, err, brief.Seconds, byCertificate.Seconds)
	}
	byProof := w.post(w.batch, w.mtls, form, proof(key, w.mtls))
	if p, err := w.present("https://b.example", key.Request("GET", "/", byProof.Token)); err != nil || p.ClientID != "batch" {
		t.Errorf("got %+v, %v", p, err)
	}
	if _, err := w.present("https://b.example", w.batch.Request("GET", "/", byProof.Token)); err == nil {
		t.Error("VULNERABLE: a token that is bound to a key needs no proof")
	}
}

func TestProofs(t *testing.T) {
	w := newWorld(t, "127.0.0.1:0", func(o *serverOptions) { o.nonces = true })
	key, secret := popauthtest.NewProofKey(t, ""), basic("web", "secret")
	first := w.post(nil, w.metadata.Token, request(), secret, proof(key, w.metadata.Token))
	nonce := first.header.Get("DPoP-Nonce")
	if first.status != 400 || first.Error != "use_dpop_nonce" || nonce == "" || first.Token != "" {
		t.Fatalf("got %+v, want a nonce asked for", first)
	}
	second := proof(key, w.metadata.Token, popauthtest.Claims{"nonce": nonce})
	if got := w.post(nil, w.metadata.Token, request(), secret, second); got.Type != "DPoP" {
		t.Errorf("got %+v with the nonce", got)
	}
	if got := w.post(nil, w.metadata.Token, request(), secret, second); got.Error != "invalid_dpop_proof" || got.Token != "" {
		t.Errorf("VULNERABLE: got %+v for a proof used before", got)
	}
	// A proof is not looked at for one who is not known: it stays good, and its nonce is nobody's.
	third := proof(key, w.metadata.Token, popauthtest.Claims{"nonce": nonce})
	if got := w.post(nil, w.metadata.Token, request(), basic("web", "wrong"), third); got.Error != "invalid_client" {
		t.Errorf("got %+v", got)
	}
	if got := w.post(nil, w.metadata.Token, request(), secret, third); got.Type != "DPoP" {
		t.Errorf("got %+v, want a proof that a refused client has not used up", got)
	}
}

// TestRefusedBeforeLibrary holds that what is refused never gets to the library, by whatever path or form.
func TestRefusedBeforeLibrary(t *testing.T) {
	var ran atomic.Int32
	spy := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran.Add(1) })
	w := newWorld(t, "/mtls", func(o *serverOptions) { o.issuing = spy })
	send := func(target string, as *popauthtest.Client, changes ...change) int32 {
		before := ran.Load()
		r := as.Request("POST", target, "")
		own := httptest.NewRequest("POST", target, strings.NewReader("grant_type=client_credentials&client_id=batch"))
		own.TLS = r.TLS
		own.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for _, f := range changes {
			f(own)
		}
		w.ServeHTTP(httptest.NewRecorder(), own)
		return ran.Load() - before
	}
	form := func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("grant_type=client_credentials")) }
	put := func(r *http.Request) { r.Method = "PUT" }
	for _, got := range []int32{send("/mtls/token", w.batch), send("/token", nil, form, basic("web", "secret"))} {
		if got != 1 {
			t.Fatalf("the library ran %d times for the client, want once", got)
		}
	}
	nobody := (*popauthtest.Client)(nil)
	get := func(r *http.Request) { r.Method = "GET" }
	for name, got := range map[string]int32{
		"certificate, ordinary endpoint": send("/token", w.batch),
		"nobody":                         send("/mtls/token", nobody),
		"nobody, ordinary endpoint":      send("/token", nobody),
		"another's":                      send("/mtls/token", w.other),
		"wrong secret":                   send("/token", nobody, basic("web", "wrong")),
		"bad proof":                      send("/mtls/token", w.batch, func(r *http.Request) { r.Header.Set("DPoP", "x") }),
		"GET":                            send("/mtls/token", w.batch, get),
		"PUT, secret":                    send("/token", nobody, form, basic("web", "secret"), put),
		"escaped":                        send("/%74oken", w.batch),
		"slash":                          send("/token/", w.batch),
		"two slashes":                    send("//token", w.batch),
		"dots":                           send("/x/../token", w.batch),
		"the keys, by POST":              send("/jwks", w.batch),
		"another path":                   send("/oauth/token", w.batch),
	} {
		if got != 0 {
			t.Errorf("VULNERABLE: %s: the library ran", name)
		}
	}
}

// TestLibraryAlone holds that the library authenticates nobody by itself, were it ever reached around authenticate.
func TestLibraryAlone(t *testing.T) {
	w := newWorld(t, "/mtls")
	p := &provider{server: w.server}
	library := op.RegisterServer(p, op.Endpoints{Token: op.NewEndpoint(tokenPath)}, op.WithFallbackLogger(w.logger))
	r := httptest.NewRequest("POST", tokenPath, strings.NewReader("grant_type=client_credentials"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("web", "secret")
	recorder := httptest.NewRecorder()
	library.ServeHTTP(recorder, r)
	if recorder.Code < 400 || strings.Contains(recorder.Body.String(), "access_token") {
		t.Errorf("VULNERABLE: got %d %s", recorder.Code, recorder.Body)
	}
	if c, err := p.VerifyClient(t.Context(), nil); err == nil || c != nil {
		t.Errorf("VULNERABLE: VerifyClient: got %v, %v", c, err)
	}
	if got, err := p.ClientCredentialsExchange(t.Context(), nil); err == nil || got != nil {
		t.Errorf("VULNERABLE: ClientCredentialsExchange: got %v, %v", got, err)
	}
}

func TestMetadata(t *testing.T) {
	w := newWorld(t, "127.0.0.1:0")
	recorder := httptest.NewRecorder()
	w.ServeHTTP(recorder, httptest.NewRequest("GET", authorizationServerMetadata, nil))
	var got metadata
	if err := json.Unmarshal(recorder.Body.Bytes(), &got); err != nil || recorder.Code != 200 {
		t.Fatalf("got %d, %v", recorder.Code, err)
	}
	if got.Issuer != w.issuer || got.Token != w.issuer+"/token" || got.Aliases.Token == got.Token || got.Aliases.Token == "" ||
		!got.BoundAccessTokens || len(got.DPoPAlgorithms) == 0 || len(got.TokenMethods) != 4 {
		t.Errorf("got %+v", got)
	}
	// This is no OpenID provider. Who finds such metadata with less than OpenID Connect requires looks no further:
	// Spring's client, for one.
	recorder = httptest.NewRecorder()
	w.ServeHTTP(recorder, httptest.NewRequest("GET", "/.well-known/openid-configuration", nil))
	if recorder.Code != http.StatusNotFound {
		t.Errorf("OpenID Connect's place: got %d, want 404", recorder.Code)
	}
}
