package popclient

import (
	"net/http"
	"strings"
	"sync"
)

const (
	scheme   = "DPoP"
	bearer   = "Bearer"
	useNonce = "use_dpop_nonce"
	badProof = "invalid_dpop_proof"

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
	clock clock
}

func (n *nonces) of(origin string) known {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.last[origin]
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
