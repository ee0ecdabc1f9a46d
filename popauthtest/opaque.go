package popauthtest

import (
	"crypto/rand"
	"net/http"
	"strings"
	"time"
)

// Opaque mints a token that says nothing by itself: the issuer's introspection endpoint, "/introspect", has what it
// stands for (RFC 7662), and takes any client and any secret. Defaults and claims are as in [Issuer.Token]; active is true
// until [Issuer.Revoke]. A Verifier of package introspection that asks there:
//
//	introspection.New(introspection.Options{
//		Issuer: issuer.URL, Audience: []string{popauthtest.Audience}, Client: issuer.Client(), Now: issuer.Now,
//		Authentication: introspection.ClientSecretBasic{ID: "api", Secret: "secret"},
//	})
func (i *Issuer) Opaque(claims ...Claims) string {
	i.tb.Helper()
	now := i.now()
	defaults := Claims{
		"active":    true,
		"iss":       i.URL,
		"aud":       Audience,
		"sub":       "client-1",
		"client_id": "client-1",
		"iat":       now.Unix(),
		"exp":       now.Add(5 * time.Minute).Unix(),
	}
	token, answer := rand.Text(), merge(append([]Claims{defaults}, claims...)...)
	marshal(i.tb, answer) // here, so that what can't be written ends the test where it was said
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.opaque == nil {
		i.opaque = map[string]Claims{}
	}
	i.opaque[token] = answer
	return token
}

// Revoke makes the introspection endpoint answer that the token is not active, as it does for any that Opaque has not
// made.
func (i *Issuer) Revoke(token string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.opaque, token)
}

// Introspections is the number of requests for introspection so far, whatever they were answered.
func (i *Issuer) Introspections() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.introspections
}

// serveIntrospection answers whoever asks; signed if that is asked for (RFC 9701).
func (i *Issuer) serveIntrospection(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	i.introspections++
	answer, ok := i.opaque[r.PostFormValue("token")]
	i.mu.Unlock()
	if !ok {
		answer = Claims{"active": false}
	}
	const signed = "token-introspection+jwt"
	if !strings.Contains(r.Header.Get("Accept"), signed) {
		writeJSON(w, marshal(i.tb, answer))
		return
	}
	client, _, ok := r.BasicAuth()
	if !ok {
		client = r.PostFormValue("client_id")
	}
	w.Header().Set("Content-Type", "application/"+signed)
	token := i.TokenWith(Claims{"typ": signed}, Claims{
		"aud": client, "token_introspection": answer,
		"sub": Omit, "client_id": Omit, "exp": Omit, "jti": Omit,
	})
	_, _ = w.Write([]byte(token))
}
