package bench

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// stranger knows of an API what everybody can know: its issuer, the names of the keys, and how its tokens look.
type stranger struct {
	tb   popauthtest.TB
	f    *Fixture
	kid  string
	keys *popauth.RemoteKeys
}

func newStranger(tb popauthtest.TB, f *Fixture) *stranger {
	kid, _, err := f.API("RS256").Key()
	if err != nil {
		tb.Fatalf("bench: %v", err)
	}
	s := &stranger{tb: tb, f: f, kid: kid}
	s.keys = s.remoteKeys(f)
	return s
}

// remoteKeys are the issuer's, fetched.
func (s *stranger) remoteKeys(f *Fixture) *popauth.RemoteKeys {
	client, err := f.API("RS256").Client()
	if err != nil {
		s.tb.Fatalf("bench: %v", err)
	}
	keys, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{Issuer: f.issuer.URL, Client: client})
	if err != nil {
		s.tb.Fatalf("bench: %v", err)
	}
	if err := keys.Preload(context.Background()); err != nil {
		s.tb.Fatalf("bench: %v", err)
	}
	return keys
}

// guard has the default options but for what is given.
func (s *stranger) guard(o popauth.Options) *popauth.Guard {
	if o.Verifier == nil {
		o.Issuer, o.Audience = s.f.issuer.URL, []string{Audience}
		if o.Keys == nil {
			o.Keys = s.keys
		}
	}
	o.Logger = slog.New(slog.DiscardHandler)
	g, err := popauth.New(o)
	if err != nil {
		s.tb.Fatalf("bench: %v", err)
	}
	return g
}

// claims are those of a good token that lasts, with a jti of the number, and more members.
func (s *stranger) claims(n int, more string) string {
	now := time.Now().Unix()
	return fmt.Sprintf(`{"iss":%q,"aud":%q,"sub":"client-1","client_id":"client-1","scope":%q,"iat":%d,"exp":%d%s,"jti":"%08d"}`,
		s.f.issuer.URL, Audience, Scope, now, now+86400, more, n)
}

// header is one under a key's name.
func (s *stranger) header(kid, more string) string {
	return fmt.Sprintf(`{"alg":"RS256","typ":"at+jwt","kid":%q%s}`, kid, more)
}

// wrong is a signature of an RSA key's length that is none.
var wrong = base64.RawURLEncoding.EncodeToString(append([]byte{0}, []byte(strings.Repeat("popauth", 40))[:255]...))

// forged is a token that nobody has signed.
func forged(header, payload string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(header)) + "." + encode([]byte(payload)) + "." + wrong
}

// made is a good token but for its signature: to refuse it costs one verification.
func (s *stranger) made(n int) string { return forged(s.header(s.kid, ""), s.claims(n, "")) }

// shows is the request of somebody without a certificate.
func shows(scheme, token string) *http.Request { return request(nil, scheme, token) }

// token is a row of somebody who shows nothing but a token.
func (s *stranger) token(name string, status int, token func(n int) string) *Hostile {
	return &Hostile{
		Name: name, Status: status, protect: s.guard(popauth.Options{}).Authenticate,
		request: func(n int) *http.Request { return shows("Bearer", token(n)) },
	}
}
