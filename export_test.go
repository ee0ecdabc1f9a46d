package popauth

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/seed-171ab058/popauth/internal/jose"
)

// VerifyJWS is what a Guard does with a token but for its claims and its type: published vectors sign what is no token.
func VerifyJWS(keys KeySource, token string) error {
	v := &jwtVerifier{keys: keys, algorithms: jose.Algorithms}
	j, err := jose.Split(token)
	if err != nil {
		return malformed(err)
	}
	h, _, err := v.header(j)
	if err != nil {
		return err
	}
	s, err := j.Decode()
	if err != nil {
		return malformed(err)
	}
	defer s.Close()
	a, err := v.algorithm(h)
	if err != nil {
		return err
	}
	_, err = v.verifySignature(context.Background(), h, a, token, j.Signed, s.Signature)
	return err
}

// Descriptions are all the texts that a challenge may have.
func Descriptions() map[string]bool {
	all := map[string]bool{}
	for a := range maps.Values(answers) {
		all[a.description] = true
	}
	return all
}

// Reasons are all that there are, and one that there is not.
func Reasons() []Reason { return append(slices.Collect(maps.Keys(answers)), "x") }

// Known tells whether a Reason is one of the constants.
func Known(r Reason) bool {
	_, ok := answers[r]
	return ok
}

// Forgetful is g without a memory of tokens.
func Forgetful(g *Guard) *Guard {
	twin := &Guard{
		identity: new(identity), line: g.line, source: g.source, headers: g.headers, goesBy: g.goesBy, prompt: g.prompt,
		schemes: g.schemes, tokens: g.tokens,
		confirmers: g.confirmers, policies: g.policies, observer: g.observer, refusals: g.refusals, document: g.document,
	}
	twin.station = &station{guard: twin.identity, source: g.station.source}
	if v, ok := g.tokens.verifier.(*jwtVerifier); ok {
		twin.tokens.verifier = &jwtVerifier{
			issuer: v.issuer, keyIssuer: v.keyIssuer, keys: v.keys, kinds: v.kinds, algorithms: v.algorithms, types: v.types,
			validator: v.validator,
			leeway:    v.leeway, now: v.now, known: v.known, entries: -1,
		}
	}
	return twin
}

// Remembered tells whether g lets r pass with a token that it has verified before.
func Remembered(g *Guard, r *http.Request) (bool, error) {
	d, err := g.decide(r, r)
	if err != nil {
		return false, err
	}
	return d.remembered, nil
}

// RememberedTokens is how many tokens g remembers.
func RememberedTokens(g *Guard) int {
	v, ok := g.tokens.verifier.(*jwtVerifier)
	if !ok || v.memory.Load() == nil {
		return 0
	}
	return v.memory.Load().Len()
}

// KnownHeader tells whether g has kept what the header of r's token says.
func KnownHeader(g *Guard, r *http.Request) bool {
	_, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	text, _, _ = strings.Cut(text, ".")
	v, _ := g.tokens.verifier.(*jwtVerifier)
	return v.headers.Find(text) != nil
}

// Judged tells whether the names of the certificate of r's connection have been held against its chains, for a source that
// is TLSCertificate.
func Judged(source CertificateSource, r *http.Request) bool {
	k := source.(tlsSource).memory.find(handshake{sent: r.TLS.PeerCertificates, chains: r.TLS.VerifiedChains}, true)
	s := k.certificate.standing
	return s != nil && (s.verified != nil || s.err != nil)
}
