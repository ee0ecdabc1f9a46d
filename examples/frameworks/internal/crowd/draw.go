package crowd

import (
	"math/rand/v2"
	"strconv"

	"github.com/seed-171ab058/popauth/popauthtest"
)

// call is one request, and what has to come of it.
type call struct {
	name   string // who calls, and what for
	route  string
	client *popauthtest.Client // whose certificate comes with it; nil: none
	tokens []string            // lines of Authorization
	key    *popauthtest.ProofKey
	bound  string // the token that the proof is for
	proof  string // one that has been made already
	header map[string]string
	status int
	words  string // of the shop; none if refused
}

// draw makes calls at random.
type draw struct {
	*World
	r    *rand.Rand
	used *call // the last proof that passed
}

// next draws one call. A third is let in; the rest are all that a thief has, in turn.
func (d *draw) next() call {
	o, other := d.two()
	h := d.keys[d.r.IntN(len(d.keys))]
	id := strconv.Itoa(d.r.IntN(1000))
	bearer := func(token string) []string { return []string{"Bearer " + token} }
	switch d.r.IntN(31) {
	case 0, 1, 2:
		return call{name: "owner", route: "GET /orders", client: o.client, tokens: bearer(o.token), status: 200, words: "orders of " + o.name}
	case 3, 4:
		return call{name: "owner, one order", route: "GET /orders/" + id, client: o.client, tokens: bearer(o.token), status: 200, words: "order " + id + " of " + o.name}
	case 5, 6:
		return call{name: "owner buys", route: "POST /orders", client: o.client, tokens: bearer(o.token), status: 200, words: "bought by " + o.name}
	case 7:
		return call{name: "bearer token where it is enough", route: "GET /catalog", tokens: bearer(o.bare), status: 200, words: "catalog for " + o.name}
	case 8:
		return call{name: "owner where a bearer token is enough", route: "GET /catalog", client: o.client, tokens: bearer(o.token), status: 200, words: "catalog for " + o.name}
	case 9, 10:
		return d.proven(h, "GET /orders", "orders of "+h.name)
	case 11:
		return d.proven(h, "POST /orders", "bought by "+h.name)
	case 12, 13:
		return call{name: "device", route: "POST /readings", client: o.client, status: 200, words: "reading of " + o.name}
	case 14:
		return call{name: "nobody, public route", route: "GET /health", status: 200}
	case 15:
		return call{name: "thief with another's certificate", route: "GET /orders", client: other.client, tokens: bearer(o.token), status: 401}
	case 16:
		return call{name: "thief without certificate", route: "POST /orders", tokens: bearer(o.token), status: 401}
	case 17:
		return call{name: "thief with a certificate of his own", route: "GET /catalog", client: d.thief, tokens: bearer(o.token), status: 401}
	case 18:
		return call{name: "nobody", route: d.any(id), status: 401}
	case 19:
		return call{name: "certificate without token", route: d.any(id), client: o.client, status: 401}
	case 20:
		return call{name: "wrong scope", route: "POST /orders", client: o.client, tokens: bearer(o.reader), status: 403}
	case 21:
		return call{name: "bearer token where a bound one is needed", route: "GET /orders", client: o.client, tokens: bearer(o.bare), status: 401}
	case 22:
		return call{name: "expired", route: "GET /orders/" + id, client: o.client, tokens: bearer(o.expired), status: 401}
	case 23:
		return call{name: "key of another", route: "GET /orders", tokens: []string{"DPoP " + h.token}, key: d.another(h).key, bound: h.token, status: 401}
	case 24:
		return call{name: "token with a key, under Bearer", route: "GET /catalog", tokens: bearer(h.token), status: 401}
	case 25:
		return d.again(h)
	case 26:
		return call{name: "two tokens", route: "GET /orders", client: o.client, tokens: []string{"Bearer " + other.token, "Bearer " + o.token}, status: 400}
	case 27:
		return call{name: "device of no authority", route: "POST /readings", client: d.thief, status: 403}
	case 28:
		return call{name: "method override", route: "POST /orders", client: o.client, tokens: bearer(o.token), status: 400,
			header: map[string]string{"X-HTTP-Method-Override": "DELETE"}}
	case 29:
		return call{name: "method override, public route", route: "GET /health", status: 400,
			header: map[string]string{"X-HTTP-Method-Override": "DELETE"}}
	default:
		return call{name: "another site's form", route: "POST /readings", client: o.client, status: 403,
			header: map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}}
	}
}

func (d *draw) two() (o, other *owner) {
	i := d.r.IntN(len(d.owners))
	return d.owners[i], d.owners[(i+1+d.r.IntN(len(d.owners)-1))%len(d.owners)]
}

func (d *draw) another(h *holder) *holder {
	for {
		if o := d.keys[d.r.IntN(len(d.keys))]; o != h {
			return o
		}
	}
}

func (d *draw) any(id string) string {
	return []string{"GET /orders", "GET /orders/" + id, "POST /orders", "GET /catalog"}[d.r.IntN(4)]
}

func (d *draw) proven(h *holder, route, words string) call {
	return call{name: "owner with a key", route: route, tokens: []string{"DPoP " + h.token}, key: h.key, bound: h.token, status: 200, words: words}
}

// again sends the last proof that passed once more, with its own token.
func (d *draw) again(h *holder) call {
	if d.used == nil {
		return d.proven(h, "GET /orders", "orders of "+h.name)
	}
	c := *d.used
	c.name, c.status, c.words = "a proof again", 401, ""
	return c
}
