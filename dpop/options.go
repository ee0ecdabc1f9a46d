package dpop

import (
	"net/http"
	"net/url"
	"time"

	"github.com/seed-171ab058/popauth/internal/settings"
	"github.com/seed-171ab058/popauth/internal/uri"
)

// Options configure a Confirmer. One of BaseURL and URL is required. New checks them all and reports every problem; what it
// accepted it has copied.
type Options struct {
	_ [0]func()

	// BaseURL is this API as its clients call it, such as https://api.example.com: scheme, host and the path prefix that a
	// proxy takes away, if it does. A proof must be for BaseURL with the path of the request line, as this process got it, at
	// its end. Nothing of it comes from a request, so that a proof made for another server passes at none of this API's
	// processes, whatever Host says.
	BaseURL string

	// URL returns the URL of a request as its client sent it, of which scheme, host and path count: for an API with several
	// names, in place of BaseURL. A request for which it returns nil is refused. RequestURL takes the host from the Host
	// header, which the sender chooses; read its danger first. proxy.URL reads a proxy's headers. A function of
	// your own that believes such headers must first make sure that they come from that proxy, and that it replaces every one
	// of them.
	URL func(*http.Request) *url.URL

	// Replay remembers used proofs. If nil, the Confirmer has a memory of its own, a ReplayMemory as it comes, which is right
	// for an API that runs in one process. Where the configuration is read again, give the same Confirmer to each Guard, or one
	// ReplayMemory to each Confirmer, as ExampleReplayMemory_reload does: a new memory knows no proof that was used before, and
	// would accept it once more. A memory that is given keeps ids for longer, see Remember, so look at its PerKey.
	//
	// The instances of one API share a store (package redisreplay). Two Guards that the same request passes through must
	// not, so each needs a Confirmer of its own. Nor must a traffic mirror and the service that it mirrors: the second would
	// take the proof for used. A proxy that sends a request again after the API has taken it gets 401 for the second.
	Replay ReplayStore

	// Remember is how long a used proof is remembered, from its iat or its use, whichever is later; a second is added for
	// what iat is rounded by. It must be as long as anybody who shares Replay accepts a proof, or that one would accept it
	// again. If zero, 11 min, the longest that any Confirmer can accept one; where Replay is nil too, nobody shares it, and
	// MaxAge and Leeway are enough, or with NonceTime the nonces' MaxAge and 30 s. At least that, at most 11 min.
	//
	// Less takes less memory: the store has proofs per second × Remember ids at a time. Lower it only if all who
	// share the store agree, now and through every change of MaxAge and Leeway.
	Remember time.Duration

	// MaxAge is how old a proof may be. If zero, 60 s; at most 10 min (section 11.1). For clocks that differ use Leeway.
	MaxAge time.Duration

	// Leeway is how far this clock and the client's may differ, in either direction. If zero, 10 s; at most 5 min, which
	// is what the Model Context Protocol asks for, and with MaxAge at most 11 min. Whoever can make a client sign ahead of
	// time can do so for that long: where nonces are asked for, NonceTime takes any clock, and needs none of that.
	Leeway time.Duration

	// Algorithms lists the signature algorithms accepted, of those in popauth.Options.Algorithms. If nil, ES256 ES384 EdDSA
	// Ed25519 PS256 RS256.
	Algorithms []string

	// Nonces provides the nonces that proofs must carry (section 9). If nil, none is asked for.
	Nonces NonceSource

	// NonceTime lets the nonce say when a proof was made, instead of its iat (section 4.3, item 11): for clients whose
	// clocks are wrong, and can't be put right. A proof is good as long as its nonce, StatelessNonces.MaxAge, and MaxAge
	// counts for nothing. Its iat may be as old as it likes, and at most one hour ahead: a Confirmer without NonceTime
	// that shares Replay would accept it when its time comes, so it is remembered until then. Such a client has up to twelve
	// times as many ids in the store as others, which count against its PerKey. An exp or nbf counts as ever, by this
	// clock and Leeway.
	//
	// Nonces has to be StatelessNonces, not Optional, with a MaxAge of at most 10 min: those say when they were made, and
	// nobody else can make them. If false, iat counts, with a nonce too.
	NonceTime bool
}

// completeURL makes URL of BaseURL.
func (o *Options) completeURL(problem settings.Problem) {
	switch {
	case o.BaseURL != "" && o.URL != nil:
		problem("BaseURL", "there is a URL as well: set one")
	case o.BaseURL != "":
		base, err := uri.ParseBase(o.BaseURL)
		if err != nil {
			problem("BaseURL", "%w", err)
		}
		o.URL = base.URL
	case o.URL == nil:
		problem("BaseURL", "empty, and URL is nil: set BaseURL to this API's own name, such as https://api.example.com; or set URL to "+
			"RequestURL, which lets the sender's Host header say it")
	}
}
