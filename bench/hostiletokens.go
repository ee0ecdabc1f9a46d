package bench

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/issuers"
)

const maxAuthorization = 16 << 10 // bytes of the header that are looked at

// tokens are requests with nothing but a token, or none.
func (s *stranger) tokens() []*Hostile {
	header := s.header(s.kid, "")
	good := s.made(0)
	// fit fills a payload up to the largest token that is looked at, with members of the form given.
	fit := func(form func(i int) string, before, after string) func(int) string {
		room := (maxAuthorization - len("Bearer ") - len(good)) * 3 / 4
		var more strings.Builder
		more.WriteString(before)
		for i := 0; more.Len()+len(after)+len(form(i)) < room-len(before); i++ {
			more.WriteString(form(i))
		}
		more.WriteString(after)
		return func(n int) string { return forged(header, s.claims(n, more.String())) }
	}
	nested := func(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }
	garbage := Garbage(good)
	large := strings.Repeat("x", 64<<10)
	members := strings.Builder{}
	for i := range 10_000 {
		fmt.Fprintf(&members, `,"%04x":0`, i)
	}
	rows := []*Hostile{
		s.token("no token", 401, func(int) string { return "" }),
		s.token("garbage", 401, func(n int) string { return fmt.Sprintf("%d/%s", n, wrong) }),
		s.token("a token's form, random letters", 401, func(n int) string { return garbage + fmt.Sprint(n) }),
		s.token("`alg: none`", 401, func(n int) string {
			return strings.TrimSuffix(forged(`{"alg":"none","typ":"at+jwt"}`, s.claims(n, "")), wrong)
		}),
	}
	for _, h := range rows {
		h.Different = many
	}
	return append(rows,
		s.token("wrong signature, known key", 401, s.made),
		s.token("Authorization of 64 KiB", 401, func(n int) string { return large + fmt.Sprint(n) }),
		s.token("the largest token, wrong signature", 401, fit(func(int) string { return "x" }, `,"x":"`, `"`)),
		s.token("header nested 5,000 deep", 401, func(n int) string {
			return forged(s.header(s.kid, `,"x":`+nested(5000)), s.claims(n, ""))
		}),
		s.token("payload nested 5,000 deep", 401, func(n int) string {
			return forged(header, s.claims(n, `,"x":`+nested(5000)))
		}),
		s.token("payload nested 30 deep, as often as fits", 401, fit(func(int) string { return "," + nested(30) }, `,"x":[0`, `]`)),
		s.token("header of as many members as fit", 401, func(n int) string {
			return forged(s.header(s.kid, members.String()[:9*800]), s.claims(n, ""))
		}),
		s.token("payload of 10,000 members", 401, func(n int) string { return forged(header, s.claims(n, members.String())) }),
		s.token("payload of as many members as fit, much alike", 401,
			fit(func(i int) string { return fmt.Sprintf(`,"%03x":0`, i) }, "", "")),
		s.token("payload of as many spellings of `sub` as fit", 401, fit(func(i int) string {
			return fmt.Sprintf(`,"\u0073u%x":0`, i)
		}, "", "")),
		s.token("`cnf` of as many members as fit", 401,
			fit(func(i int) string { return fmt.Sprintf(`,"%03x":"x"`, i) }, `,"cnf":{"jkt":"x"`, `}`)),
		s.token("`scp` of as many names as fit", 401, fit(func(i int) string { return fmt.Sprintf(`,"%x"`, i) }, `,"scp":["x"`, `]`)),
	)
}

// askers are requests that make the API ask somebody: for keys, for an issuer, or about the token.
func (s *stranger) askers() []*Hostile {
	unknown := func(n int) string { return forged(s.header(fmt.Sprint("made-up-", n), ""), s.claims(n, "")) }
	answering := s.token("unknown key, the issuer answers", 401, unknown)
	answering.Different = many

	hung := NewFixture(s.tb)
	keys := s.remoteKeys(hung)
	done := make(chan struct{})
	hung.issuer.Handle("/jwks", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-done:
		}
	}))
	s.tb.Cleanup(func() { close(done) })
	other := &stranger{tb: s.tb, f: hung, keys: keys, kid: s.kid}
	hanging := other.token("unknown key, the issuer hangs", 503, func(n int) string {
		return forged(other.header(fmt.Sprint("made-up-", n), ""), other.claims(n, ""))
	})
	hanging.waits = true

	return append([]*Hostile{answering, hanging}, append(s.tenants(), s.introspected()...)...)
}

// tenants are requests to an API of several issuers.
func (s *stranger) tenants() []*Hostile {
	tenant, err := popauth.NewJWTVerifier(popauth.JWTOptions{Issuer: s.f.issuer.URL, Audience: []string{Audience}, Keys: s.keys})
	if err != nil {
		s.tb.Fatalf("bench: %v", err)
	}
	row := func(name string, token func(n int) string) *Hostile {
		verifier, err := issuers.New(issuers.Options{Resolve: func(_ context.Context, iss string) (popauth.Verifier, error) {
			if iss == s.f.issuer.URL {
				return tenant, nil
			}
			return nil, popauth.ErrTokenIssuer
		}})
		if err != nil {
			s.tb.Fatalf("bench: %v", err)
		}
		return &Hostile{
			Name: name, Status: 401, protect: s.guard(popauth.Options{Verifier: verifier}).Authenticate,
			request: func(n int) *http.Request { return shows("Bearer", token(n)) },
		}
	}
	return []*Hostile{
		row("unknown issuer, `Issuers`", func(n int) string {
			claims := strings.Replace(s.claims(n, ""), s.f.issuer.URL, fmt.Sprintf("https://made-up-%d.example", n), 1)
			return forged(s.header(s.kid, ""), claims)
		}),
		row("unsigned, a real tenant's `iss`, `Issuers`", s.made),
	}
}

// introspected are made-up opaque tokens, of which the server says that they are none.
func (s *stranger) introspected() []*Hostile {
	const no = `{"active":false}`
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, no) // a reader that has gone away is none of its business
	}))
	s.tb.Cleanup(server.Close)
	row := func(name, endpoint string, client *http.Client) *Hostile {
		v, err := introspection.New(introspection.Options{
			Issuer: s.f.issuer.URL, Endpoint: endpoint, Audience: []string{Audience}, Client: client,
			Authentication: introspection.ClientSecretBasic{ID: "api", Secret: "secret"},
		})
		if err != nil {
			s.tb.Fatalf("bench: %v", err)
		}
		return &Hostile{
			Name: name, Status: 401, protect: s.guard(popauth.Options{Verifier: v}).Authenticate,
			request: func(n int) *http.Request { return shows("Bearer", fmt.Sprint("made-up-", n)) },
		}
	}
	answer := roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(no)),
		}, nil
	})
	called := row("made-up opaque token, introspection by TLS, server included", server.URL, server.Client())
	called.Why = "one call over the network, its TLS and both of its ends among it: popauth's part is the row above"
	return []*Hostile{
		row("made-up opaque token, introspection, network left out", "https://id.example.com/introspect", &http.Client{Transport: answer}),
		called,
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
