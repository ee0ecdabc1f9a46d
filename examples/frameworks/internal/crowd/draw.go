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
	behind *popauthtest.Client // whose certificate is in a trailer, under the proxy's name; nil: none
	status int
	words  string // of the shop; none if refused
}

// draw makes calls at random.
type draw struct {
	*World
	r    *rand.Rand
	used *call // the last proof that passed
}

// next draws one call. Half are let in; the rest try what a thief, or a clumsy owner, can try.
func (d *draw) next() call {
	if d.r.IntN(2) == 0 {
		return d.owned()
	}
	if d.r.IntN(2) == 0 {
		return d.stolen()
	}
	return d.unfit()
}

// owned is a call that has to be let in.
func (d *draw) owned() call {
	o, _ := d.two()
	h, id := d.keys[d.r.IntN(len(d.keys))], strconv.Itoa(d.r.IntN(1000))
	owner := call{name: "owner", client: o.client, tokens: bearer(o.token), status: 200}
	switch d.r.IntN(9) {
	case 0:
		return owner.to("GET /orders", "orders of "+o.name)
	case 1:
		return owner.to("GET /orders/"+id, "order "+id+" of "+o.name)
	case 2:
		return owner.to("POST /orders", "bought by "+o.name)
	case 3:
		return owner.to("GET /catalog", "catalog for "+o.name)
	case 4:
		return call{name: "bearer token where it is enough", tokens: bearer(o.bare), status: 200}.to("GET /catalog", "catalog for "+o.name)
	case 5:
		return d.proven(h, "GET /orders", "orders of "+h.name)
	case 6:
		return d.proven(h, "POST /orders", "bought by "+h.name)
	case 7:
		return call{name: "device", client: o.client, status: 200}.to("POST /readings", "reading of "+o.name)
	default:
		return call{name: "nobody, public route", route: "GET /health", status: 200}
	}
}

// stolen is a call by somebody who has another's token, proof or certificate, but not the key, or nothing.
func (d *draw) stolen() call {
	o, other := d.two()
	h, route := d.keys[d.r.IntN(len(d.keys))], d.any()
	token := bearer(o.token)
	switch d.r.IntN(9) {
	case 0:
		return call{name: "thief with another owner's certificate", route: route, client: other.client, tokens: token, status: 401}
	case 1:
		return call{name: "thief without certificate", route: route, tokens: token, status: 401}
	case 2:
		return call{name: "thief with a certificate of his own", route: route, client: d.thief, tokens: token, status: 401}
	case 3:
		return call{name: "nobody", route: route, status: 401}
	case 4:
		return call{name: "certificate without token", route: route, client: o.client, status: 401}
	case 5:
		proof := d.another(h).key
		return call{name: "key of another", route: route, tokens: []string{"DPoP " + h.token}, key: proof, bound: h.token, status: 401}
	case 6:
		return call{name: "token with a key, under Bearer", route: route, tokens: bearer(h.token), status: 401}
	case 7: // some proxies replace a header in the head alone
		return call{name: "thief with the owner's certificate in a trailer", route: "POST /orders", behind: o.client, tokens: token,
			status: 401}
	default:
		return d.again(h)
	}
}

// unfit is a call that the right caller, or its browser, must not make.
func (d *draw) unfit() call {
	o, other := d.two()
	owner := call{client: o.client, tokens: bearer(o.token)}
	override := map[string]string{"X-HTTP-Method-Override": "DELETE"}
	switch d.r.IntN(8) {
	case 0:
		return call{name: "wrong scope", route: "POST /orders", client: o.client, tokens: bearer(o.reader), status: 403}
	case 1:
		return call{name: "bearer token on a bound route", route: "GET /orders", client: o.client, tokens: bearer(o.bare), status: 401}
	case 2:
		return call{name: "expired", route: d.any(), client: o.client, tokens: bearer(o.expired), status: 401}
	case 3:
		tokens := []string{"Bearer " + other.token, "Bearer " + o.token}
		return call{name: "two tokens", route: "GET /orders", client: o.client, tokens: tokens, status: 400}
	case 4:
		return call{name: "device of no authority", route: "POST /readings", client: d.thief, status: 403}
	case 5:
		owner.name, owner.route, owner.header, owner.status = "method override", "POST /orders", override, 400
		return owner
	case 6:
		return call{name: "method override, public route", route: "GET /health", header: override, status: 400}
	default:
		site := map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
		return call{name: "another site's form", route: "POST /readings", client: o.client, header: site, status: 403}
	}
}

func bearer(token string) []string { return []string{"Bearer " + token} }

func (c call) to(route, words string) call {
	c.route, c.words = route, words
	return c
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

func (d *draw) any() string {
	return []string{"GET /orders", "GET /orders/" + strconv.Itoa(d.r.IntN(1000)), "POST /orders", "GET /catalog"}[d.r.IntN(4)]
}

func (d *draw) proven(h *holder, route, words string) call {
	c := call{name: "owner with a key", tokens: []string{"DPoP " + h.token}, key: h.key, bound: h.token, status: 200}
	return c.to(route, words)
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
