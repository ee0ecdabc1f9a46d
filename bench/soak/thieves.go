//go:build unix

package soak

import (
	"context"
	"encoding/pem"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
)

// attempt is one of a thief.
type attempt struct {
	kind    string
	known   bool // it may reach the handler
	client  *http.Client
	request *http.Request
	seen    string    // of a replay: the instance that has taken the proof
	since   time.Time // when what was stolen was used first, or withdrawn; zero if it doesn't matter
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
	behind  atomic.Int64 // by how much b's clock is, or is about to be

	mu      sync.Mutex
	emptied time.Time // when Redis last lost everything
	held    held
	revoked revoked
}

func newThieves(w *world, owners []*owner, used *proofs) *thieves {
	t := &thieves{
		w: w, owners: owners, used: used, by: map[string][]*owner{}, theirs: map[*owner]*http.Client{},
		foreign: popauthtest.NewIssuer(&w.program, "ES256"), key: popauthtest.NewProofKey(&w.program, "ES256"),
		mallory: &owner{registration: registration{name: "mallory"}, Client: w.clients.Client("mallory")},
	}
	w.issuer.register(t.mallory.Client, t.mallory.registration)
	client := func(transport http.RoundTripper) *http.Client {
		return &http.Client{Transport: transport, Timeout: patience}
	}
	t.own, t.none = client(w.transport(&t.mallory.Certificate)), client(w.transport(nil))
	for _, o := range owners {
		t.by[o.kind] = append(t.by[o.kind], o)
		t.theirs[o] = client(w.transport(&o.Certificate))
	}
	t.tries = slices.Concat(t.stolen(), t.made(), t.proven(), t.late())
	// A short fault meets all kinds.
	rand.Shuffle(len(t.tries), func(a, b int) { t.tries[a], t.tries[b] = t.tries[b], t.tries[a] }) //nolint:gosec // protects nothing
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
				api := t.w.apis[rand.IntN(2)] //nolint:gosec // protects nothing
				a.request.URL = &url.URL{Scheme: "http", Host: api.listens(), Path: plainPath}
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
		record.thief(r, a.known, false, 0)
		return
	}
	_, _ = io.Copy(io.Discard, response.Body) // for the connection's sake
	response.Body.Close()
	r.status, r.reason, r.instance = response.StatusCode, reason(response), response.Header.Get(instanceHeader)
	var age time.Duration
	if !a.since.IsZero() {
		age = r.at.Sub(a.since)
	}
	if r.status == http.StatusOK && a.kind == earlyWithdrawn {
		t.mu.Lock()
		t.held.counted = max(t.held.counted, age)
		t.mu.Unlock()
	}
	record.thief(r, a.known, a.seen != "" && r.instance != "" && r.instance != a.seen, age)
}
