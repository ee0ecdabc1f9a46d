//go:build unix

package soak

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"

	cryptorand "crypto/rand"

	"github.com/seed-171ab058/popauth/popauthtest"
)

// proof is a request that the API has accepted, as somebody has seen it go by.
type proof struct {
	at                        time.Time
	url, authorization, proof string
	instance                  string // that has taken it
}

// proofs are the last ones, and every fiftieth of those before, which a clock that is set back makes new again.
type proofs struct {
	mu     sync.Mutex
	n      int
	recent [256]proof
	old    []proof
}

func (p *proofs) keep(one proof) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.recent[p.n%len(p.recent)] = one
	if p.n%50 == 0 {
		p.old = append(p.old, one)
	}
	p.n++
}

// pick returns one at random.
func (p *proofs) pick(old bool) (proof, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	from := p.recent[:min(p.n, len(p.recent))]
	if old {
		from = p.old
	}
	if len(from) == 0 {
		return proof{}, false
	}
	return from[rand.IntN(len(from))], true //nolint:gosec // protects nothing
}

// Kinds of thieves that may reach the handler, or not yet be refused.
const (
	forgottenProof = "proof that was used before Redis came back empty"
	earlyWithdrawn = "token of a withdrawn key, in the first 25 s"
	notYetRevoked  = "opaque token, revoked for 12 s at most"
)

// attempt is one of a thief.
type attempt struct {
	kind    string
	known   bool // it may reach the handler
	client  *http.Client
	request *http.Request
	seen    string // of a replay: the instance that has taken the proof
}

// thieves know everything but keys.
type thieves struct {
	w       *world
	used    *proofs
	owners  []*owner
	by      map[string][]*owner // their kind
	mallory *owner              // a client in good standing
	foreign *popauthtest.Issuer
	key     *popauthtest.ProofKey
	own     *http.Client // with mallory's certificate
	none    *http.Client // without one
	theirs  map[*owner]*http.Client
	tries   []func() *attempt

	mu      sync.Mutex
	emptied time.Time // when Redis last lost everything
	held    held
	revoked revoked
}

// held is a token whose key the issuer has withdrawn, in its owner's hand.
type held struct {
	token string
	owner *owner
	at    time.Time
}

// revoked is an opaque token that is about to be revoked, or was.
type revoked struct {
	token    string
	made, at time.Time
}

func newThieves(w *world, owners []*owner, used *proofs) *thieves {
	t := &thieves{
		w: w, owners: owners, used: used, by: map[string][]*owner{}, theirs: map[*owner]*http.Client{},
		foreign: popauthtest.NewIssuer(&w.program, "ES256"), key: popauthtest.NewProofKey(&w.program, "ES256"),
		mallory: &owner{registration: registration{name: "mallory"}, Client: w.clients.Client("mallory")},
	}
	w.issuer.register(t.mallory.Client, t.mallory.registration)
	client := func(transport http.RoundTripper) *http.Client { return &http.Client{Transport: transport, Timeout: patience} }
	t.own, t.none = client(w.transport(&t.mallory.Certificate)), client(w.transport(nil))
	for _, o := range owners {
		t.by[o.kind] = append(t.by[o.kind], o)
		t.theirs[o] = client(w.transport(&o.Certificate))
	}
	t.tries = append(t.stolen(), append(t.made(), append(t.proven(), t.late()...)...)...)
	return t
}

// steal picks an owner of this kind, and his newest token.
func (t *thieves) steal(kind string) (*owner, string) {
	all := t.by[kind]
	o := all[rand.IntN(len(all))] //nolint:gosec // protects nothing
	return o, t.w.issuer.stolen(o.name)
}

// send makes an attempt; none without a token.
func (t *thieves) send(kind string, client *http.Client, path, scheme, token string, headers ...string) *attempt {
	if token == "" {
		return nil
	}
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, t.w.base()+path, nil)
	if err != nil {
		return nil
	}
	r.Header.Set("Authorization", scheme+" "+token)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return &attempt{kind: kind, client: client, request: r}
}

// stolen are genuine tokens in other hands.
func (t *thieves) stolen() []func() *attempt {
	var tries []func() *attempt
	for _, kind := range []string{certificateJWT, certificateOpaque} {
		tries = append(tries, func() *attempt {
			_, token := t.steal(kind)
			return t.send("stolen ("+kind+"), another's certificate", t.own, plainPath, "Bearer", token)
		}, func() *attempt {
			_, token := t.steal(kind)
			return t.send("stolen ("+kind+"), no certificate", t.none, plainPath, "Bearer", token)
		}, func() *attempt {
			o, token := t.steal(kind)
			return t.send("stolen ("+kind+"), the owner's certificate in headers", t.own, plainPath, "Bearer", token, forged(o)...)
		}, func() *attempt {
			o, token := t.steal(kind)
			a := t.send("stolen ("+kind+"), the same past nginx, with a guessed secret", &http.Client{Timeout: patience},
				plainPath, "Bearer", token, append(forged(o), "X-Proxy-Secret", "guessed guessed guessed")...)
			if a != nil {
				a.request.URL = &url.URL{Scheme: "http", Host: t.w.apis[rand.IntN(2)].listens(), Path: plainPath} //nolint:gosec // protects nothing
			}
			return a
		})
	}
	for _, kind := range []string{proofJWT, proofNonceJWT, proofOpaque} {
		tries = append(tries, func() *attempt {
			_, token := t.steal(kind)
			return t.send("stolen ("+kind+"), as Bearer", t.own, plainPath, "Bearer", token)
		}, func() *attempt {
			_, token := t.steal(kind)
			return t.send("stolen ("+kind+"), proof of another key", t.own, plainPath, "DPoP", token,
				"DPoP", t.key.Proof(http.MethodGet, t.w.base()+plainPath, token))
		})
	}
	return tries
}

// forged are the headers by which nginx would report the owner. A certificate is no secret.
func forged(o *owner) []string {
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: o.Certificate.Certificate[0]})
	return []string{"X-SSL-Client-Cert", url.PathEscape(string(text)), "X-SSL-Client-Verify", "SUCCESS"}
}

// made are tokens that are not genuine, or not for this API, in their owner's hand.
func (t *thieves) made() []func() *attempt {
	i := t.w.issuer
	mint := func(o *owner, by *popauthtest.Issuer, header popauthtest.Claims, claims ...popauthtest.Claims) string {
		return by.TokenWith(header, append([]popauthtest.Claims{o.Bound(), {
			"iss": i.URL, "aud": audience, "client_id": o.name, "sub": "sub-" + o.name, "scope": scope,
		}}, claims...)...)
	}
	try := func(kind string, token func(o *owner) string) func() *attempt {
		return func() *attempt {
			o, _ := t.steal(certificateJWT)
			return t.send(kind, t.theirs[o], plainPath, "Bearer", token(o))
		}
	}
	return []func() *attempt{
		try("expired", func(o *owner) string {
			return mint(o, i.Issuer, nil, popauthtest.Claims{"exp": time.Now().Add(-time.Minute).Unix()})
		}),
		try("for another audience", func(o *owner) string {
			return mint(o, i.Issuer, nil, popauthtest.Claims{"aud": "https://other.example.com"})
		}),
		try("of another issuer", func(o *owner) string {
			return mint(o, i.Issuer, nil, popauthtest.Claims{"iss": "https://other.example.com"})
		}),
		try("without the scope", func(o *owner) string { return mint(o, i.Issuer, nil, popauthtest.Claims{"scope": "other"}) }),
		try("not bound", func(o *owner) string { return mint(o, i.Issuer, nil, popauthtest.Claims{"cnf": popauthtest.Omit}) }),
		try("unsigned", func(o *owner) string { return mint(o, i.Issuer, popauthtest.Claims{"alg": "none"}) }),
		try("signed by a made-up key", func(o *owner) string {
			return mint(o, t.foreign, popauthtest.Claims{"kid": cryptorand.Text()})
		}),
		try("signed by a key under the issuer's name for its own", func(o *owner) string {
			var set struct{ Keys []struct{ Kid string } }
			if json.Unmarshal(i.JWKS(), &set) != nil || len(set.Keys) == 0 {
				return ""
			}
			return mint(o, t.foreign, popauthtest.Claims{"kid": set.Keys[0].Kid})
		}),
		try("made up, opaque", func(*owner) string { return cryptorand.Text() }),
	}
}

// proven are requests with proofs of the owner's key, made for something else, or used before.
func (t *thieves) proven() []func() *attempt {
	try := func(kind, path string, proof func(o *owner, token string) (string, error)) func() *attempt {
		return func() *attempt {
			o, token := t.steal(proofJWT)
			if token == "" {
				return nil
			}
			text, err := proof(o, token)
			if err != nil {
				return nil
			}
			return t.send(kind, t.own, path, "DPoP", token, "DPoP", text)
		}
	}
	plain, nonce := t.w.base()+plainPath, t.w.base()+noncePath
	return []func() *attempt{
		try("proof for another path", plainPath, func(o *owner, token string) (string, error) {
			return o.key.Proof(http.MethodGet, nonce, token, "")
		}),
		try("proof for another method", plainPath, func(o *owner, token string) (string, error) {
			return o.key.Proof(http.MethodPost, plain, token, "")
		}),
		try("proof for another token", plainPath, func(o *owner, token string) (string, error) {
			return o.key.Proof(http.MethodGet, plain, token+"x", "")
		}),
		try("proof without nonce", noncePath, func(o *owner, token string) (string, error) {
			return o.key.Proof(http.MethodGet, nonce, token, "")
		}),
		try("proof with a made-up nonce", noncePath, func(o *owner, token string) (string, error) {
			return o.key.Proof(http.MethodGet, nonce, token, cryptorand.Text())
		}),
		t.replay(false), t.replay(false), t.replay(false), t.replay(true),
	}
}

// replay sends again what an owner has sent.
func (t *thieves) replay(old bool) func() *attempt {
	return func() *attempt {
		p, ok := t.used.pick(old)
		if !ok {
			return nil
		}
		r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, p.url, nil)
		if err != nil {
			return nil
		}
		r.Header.Set("Authorization", p.authorization)
		r.Header.Set("DPoP", p.proof)
		t.mu.Lock()
		forgotten := p.at.Before(t.emptied)
		t.mu.Unlock()
		a := &attempt{kind: "proof used before", client: t.own, request: r, seen: p.instance}
		if old {
			a.kind = "proof used before, kept for up to 11 min"
		}
		if forgotten {
			a.kind, a.known = forgottenProof, true
		}
		return a
	}
}

// late are tokens that were good once, in their owner's hand.
func (t *thieves) late() []func() *attempt {
	return []func() *attempt{
		func() *attempt {
			t.mu.Lock()
			h := t.held
			t.mu.Unlock()
			if h.owner == nil {
				return nil
			}
			a := t.send("token of a withdrawn key", t.theirs[h.owner], plainPath, "Bearer", h.token)
			if a != nil && time.Since(h.at) < refresh+5*time.Second {
				a.kind, a.known = earlyWithdrawn, true
			}
			return a
		},
		t.revoke,
	}
}

// revoke has an opaque token that is good for some seconds, then revoked, then remembered by an API for ten seconds.
func (t *thieves) revoke() *attempt {
	o := t.by[certificateOpaque][0]
	t.mu.Lock()
	now := time.Now()
	if t.revoked.token == "" || !t.revoked.at.IsZero() && now.Sub(t.revoked.at) > 40*time.Second {
		t.revoked = revoked{made: now, token: t.w.issuer.Opaque(o.Bound(), popauthtest.Claims{
			"aud": audience, "client_id": o.name, "sub": "sub-" + o.name, "scope": scope,
		})}
	}
	if t.revoked.at.IsZero() && now.Sub(t.revoked.made) > 5*time.Second {
		t.w.issuer.Revoke(t.revoked.token)
		t.revoked.at = now
	}
	r := t.revoked
	t.mu.Unlock()
	a := t.send("revoked opaque token", t.theirs[o], plainPath, "Bearer", r.token)
	if a != nil && (r.at.IsZero() || now.Sub(r.at) < 12*time.Second) {
		a.kind, a.known = notYetRevoked, true
	}
	return a
}

// forget says that Redis has lost everything.
func (t *thieves) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.emptied = time.Now()
}

// hold takes a token whose key is about to be withdrawn.
func (t *thieves) hold() {
	o := t.by[certificateJWT][0]
	token := t.w.issuer.Token(o.Bound(), popauthtest.Claims{
		"aud": audience, "client_id": o.name, "sub": "sub-" + o.name, "scope": scope, "exp": time.Now().Add(time.Hour).Unix(),
	})
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held = held{token, o, time.Now()}
}

// try makes the nth attempt, and takes down what came of it.
func (t *thieves) try(n int, record *recorder) {
	a := t.tries[n%len(t.tries)]()
	if a == nil {
		return
	}
	a.request.Header.Set(senderHeader, a.kind)
	r := result{kind: a.kind, at: time.Now()}
	response, err := a.client.Do(a.request)
	if err != nil {
		r.reason = failure(err)
		record.thief(r, a.known, false)
		return
	}
	_, _ = io.Copy(io.Discard, response.Body) // for the connection's sake
	response.Body.Close()
	r.status, r.reason, r.instance = response.StatusCode, reason(response), response.Header.Get(instanceHeader)
	record.thief(r, a.known, a.seen != "" && r.instance != "" && r.instance != a.seen)
}
