package popclient

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/seed-171ab058/popauth/internal/discovery"
)

// proofAlgorithms is the member of an issuer's metadata with the algorithms that proofs may have (RFC 9449, section 5.1).
const proofAlgorithms = "dpop_signing_alg_values_supported"

// preferred are the algorithms that GenerateKeyFor takes, the best known first: APIs have to take the key as well.
var preferred = [...]string{"ES256", "Ed25519", "EdDSA", "ES384", "PS256", "RS256"}

// GenerateKeyFor is [GenerateKey] with an algorithm of those that the issuer's metadata list for proofs: ES256, if it is among
// them. The client fetches the metadata; if nil, one that doesn't follow the metadata into a private network. An issuer that
// lists none, or none that is known here, is an error.
func GenerateKeyFor(ctx context.Context, client *http.Client, issuer string) (*Key, error) {
	i, err := discovery.NewIssuer(issuer, discovery.LoopbackHTTP)
	if err != nil {
		return nil, fmt.Errorf("popclient: issuer: %w", err)
	}
	found, err := discovery.NewClient(client, time.Now).Find(ctx, i, "token_endpoint", false)
	if err != nil {
		return nil, fmt.Errorf("popclient: %w", err)
	}
	listed, err := discovery.ListOf(found.Metadata, proofAlgorithms)
	if err != nil {
		return nil, fmt.Errorf("popclient: metadata: %s: %w", proofAlgorithms, err)
	}
	if listed == nil {
		return nil, fmt.Errorf("popclient: metadata: no %s: the server may not know DPoP. If it does, GenerateKey makes a key "+
			"by the algorithm that its documentation names", proofAlgorithms)
	}
	for _, alg := range preferred {
		if slices.Contains(listed, alg) {
			return GenerateKey(alg)
		}
	}
	return nil, fmt.Errorf("popclient: metadata: none of %s is known here, which are %q: %s", proofAlgorithms, preferred, shown(listed))
}

// takes tells whether the server's metadata list the key's algorithm. Where there is no list, only the server knows.
func (e *endpoint) takes(k *Key) error {
	if k == nil {
		return nil
	}
	e.mu.Lock()
	listed := e.algorithms
	e.mu.Unlock()
	if listed == nil || slices.Contains(listed, k.alg.name) {
		return nil
	}
	return fmt.Errorf("popclient: token: Key is for %s, and the server's %s are %s: make one for one of these, as GenerateKeyFor does",
		k.alg.name, proofAlgorithms, shown(listed))
}

// shown is a server's list, as an error quotes it.
func shown(list []string) string { return quotable(fmt.Sprintf("%q", list)) }
