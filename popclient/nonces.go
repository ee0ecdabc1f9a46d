package popclient

import (
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	scheme   = "DPoP"
	bearer   = "Bearer"
	useNonce = "use_dpop_nonce"
	badProof = "invalid_dpop_proof"

	badClient = "invalid_client"

	// maxOrigins and maxNonce bound what servers can make a client remember, and send.
	maxOrigins = 100
	maxNonce   = 2 << 10
)

// nonces remembers of each origin the last nonce (RFC 9449, sections 8.2 and 9), and its clock. A nonce is for any key
// and token.
type nonces struct {
	mu   sync.Mutex
	last map[string]known
}

// known is what an origin has said.
type known struct {
	nonce string
	clock clock     // by which a proof was accepted
	trial clock     // shown by the refusal of a request that couldn't be sent again, for the next one to try
	rest  time.Time // no other clock is tried before
}

// begin returns what a request is sent with, and whether its clock is a trial, which is for one request alone.
func (n *nonces) begin(origin string) (k known, tried bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	k = n.last[origin]
	if k.trial.own() {
		return k, false
	}
	left := k
	left.trial = clock{}
	n.last[origin] = left
	k.clock = k.trial
	return k, true
}

// keep makes room by forgetting any other origin: that costs its next request one more round trip, and nothing else.
func (n *nonces) keep(origin string, change func(*known)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.last == nil {
		n.last = map[string]known{}
	}
	k, has := n.last[origin]
	if !has && len(n.last) >= maxOrigins {
		for other := range n.last {
			delete(n.last, other)
			break
		}
	}
	change(&k)
	n.last[origin] = k
}

// newNonce is the nonce of a response, "" if it has none. Of two it can't be told which one the server meant.
func newNonce(h http.Header) string {
	lines := h.Values("DPoP-Nonce")
	if len(lines) != 1 || len(lines[0]) > maxNonce || strings.ContainsFunc(lines[0], notNQCHAR) {
		return ""
	}
	return lines[0]
}

// notNQCHAR is all but NQCHAR (RFC 9449, section 8.1).
func notNQCHAR(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }
