package testbed

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
)

const lifetime = 5 * time.Minute

// kind is a token, and what the API does with it in its owner's hands.
type kind struct {
	says  string
	token func() string
}

// kinds are the tokens that anybody on this machine may fetch: nothing but this bed takes them.
func (b *Bed) kinds() map[string]kind {
	mint := func(claims ...popauthtest.Claims) func() string {
		return func() string {
			base := popauthtest.Claims{
				"aud": Audience, "client_id": ClientID, "sub": ClientID, "scope": readScope + " " + writeScope,
				"exp": time.Now().Add(lifetime).Unix(),
			}
			return b.issuer.Token(append([]popauthtest.Claims{base}, claims...)...)
		}
	}
	byKey := popauthtest.Claims{"cnf": popauthtest.Claims{"jkt": b.jkt}}
	return map[string]kind{
		"certificate": {"bound to owner-cert: passes with it alone", mint(b.owner.Bound())},
		"key":         {"bound to dpop-key: passes with a proof of it alone", mint(byKey)},
		"both": {"bound to both: passes with both alone",
			mint(popauthtest.Claims{"cnf": popauthtest.Claims{"x5t#S256": b.owner.Thumbprint(), "jkt": b.jkt}})},
		"unbound": {"bound to nothing: passes under /unbound/ alone", mint()},
		"expired": {"bound to owner-cert, expired: never passes", mint(b.owner.Bound(),
			popauthtest.Claims{"exp": time.Now().Add(-time.Hour).Unix()})},
		"expired-key": {"bound to dpop-key, expired: never passes", mint(byKey,
			popauthtest.Claims{"exp": time.Now().Add(-time.Hour).Unix()})},
		"wrong-audience": {"bound to owner-cert, for another API: never passes", mint(b.owner.Bound(),
			popauthtest.Claims{"aud": "https://other.example.com"})},
		"wrong-issuer": {"bound to owner-cert, of another issuer: never passes", mint(b.owner.Bound(),
			popauthtest.Claims{"iss": "https://other.example.com"})},
		"wrong-certificate": {"bound to a certificate that nobody has: never passes",
			mint(popauthtest.Claims{"cnf": popauthtest.Claims{"x5t#S256": thumbprint()}})},
		"unknown-cnf": {"bound in a way that nobody knows: never passes",
			mint(popauthtest.Claims{"cnf": popauthtest.Claims{"x": "y"}})},
		"no-scope": {"bound to owner-cert, without scope: 403", mint(b.owner.Bound(),
			popauthtest.Claims{"scope": popauthtest.Omit})},
		"unsigned": {"alg none: never passes", func() string {
			return b.issuer.TokenWith(popauthtest.Claims{"alg": "none"}, popauthtest.Claims{"aud": Audience}, b.owner.Bound())
		}},
	}
}

func (b *Bed) listTokens(w http.ResponseWriter, _ *http.Request) {
	list := map[string]map[string]string{}
	for name, k := range b.kinds() {
		list[name] = map[string]string{"url": b.id.URL + "/tokens/" + name, "is": k.says}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(list)
}

func (b *Bed) serveToken(w http.ResponseWriter, r *http.Request) {
	k, ok := b.kinds()[r.PathValue("kind")]
	if !ok {
		http.Error(w, fmt.Sprintf("no such kind: %s/tokens lists them", b.id.URL), http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, k.token())
}
