package introspection

import (
	"crypto/x509"
	"net/http"
	"slices"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/discovery"
	"github.com/seed-171ab058/popauth/internal/jose"
	"github.com/seed-171ab058/popauth/internal/settings"
)

// Options configure a Verifier.
type Options struct {
	_ [0]func()

	// Issuer is the authorization server. An answer's iss, if it has one, must be this to the letter; the Token of an
	// answer without has this one. Unless Endpoint is set it is also where discovery starts, as with popauth.RemoteKeys. It is
	// required.
	Issuer string

	// MetadataURL is where the issuer's metadata is, as with popauth.RemoteKeysOptions.
	MetadataURL string

	// Endpoint is the URL of the introspection endpoint. If empty, the one that the issuer's metadata names.
	Endpoint string

	// Audience lists this API's names; an answer's aud must contain one. It is required.
	Audience []string

	// AllowMissingAudience accepts answers without aud, for a server that never sends one: then this API accepts every
	// token of the issuer, those for other APIs too. If false, they are refused.
	AllowMissingAudience bool

	// RequiredClaims are members that every answer about an access token has and those about other tokens don't, such as
	// token_type. Most servers answer for refresh tokens as well, as active as any, and some mark them by nothing but
	// what is missing. An answer without one of them, or with null, is refused with popauth.ErrTokenType. If nil, none is required.
	RequiredClaims []string

	// Authentication is how this API authenticates to the endpoint. It is required; NoAuthentication says that there is none.
	Authentication ClientAuthentication

	// Signed asks for signed answers (RFC 9701) and accepts no other. Each must be the issuer's, made for this API,
	// which it may call by its client ID or a name in Audience, and made no more than Leeway before the call. If false,
	// answers are plain JSON.
	//
	// An answer does not name the token that was asked about. It is refused if it is one of the last 65536 that said
	// "active" about another token, and, for a token that is a JWT, if its iss, sub, client_id, jti, exp or iat is not
	// the token's own. Whoever can answer in the server's place can still give the fresh answer about one opaque token
	// for another; a smaller Leeway narrows that, and a binding ends it for everybody but the holder of that other
	// token's key.
	Signed bool

	// Keys are those of signed answers. If nil, popauth.RemoteKeys found through the issuer's metadata.
	Keys popauth.KeySource

	// Algorithms lists the signature algorithms of signed answers, as in popauth.Options. If nil, all of them.
	Algorithms []string

	// Client makes the requests. Redirects of the endpoint are not followed, whatever it says. If nil, one of popauth's
	// own, which uses the proxy of the environment.
	Client *http.Client

	// RootCAs verify the server's certificate, as with popauth.RemoteKeysOptions. If nil, the system's.
	RootCAs *x509.CertPool

	// AllowLoopbackHTTP lets URLs be http if their host is a loopback address or localhost, for development. If
	// false, everything is https.
	AllowLoopbackHTTP bool

	// Timeout bounds one call, discovery included. If zero, 10 s.
	Timeout time.Duration

	// Wait is how long a request waits at most for a call that it needs. If zero, 5 s.
	Wait time.Duration

	// Calls is the number of calls at once, a quarter of which are kept for tokens that were active lately. A request for
	// which there is none left waits. If zero, 64.
	Calls int

	// Remember is how long an answer is cached. A revoked token can still pass for this long. An answer that the token is
	// not active counts for 5 s at most. If zero, 10 s; if negative, every request asks, though those that ask for the
	// same token at the same time share one call.
	Remember time.Duration

	// Entries is the number of active tokens that are remembered at most, with 1,600 bytes for each; an answer that needs
	// more counts for more. If zero, 10000.
	Entries int

	// Leeway is how far this clock and the issuer's may differ. If zero, 30 s; at most 5 min.
	Leeway time.Duration

	// Now is the clock. If nil, time.Now.
	Now func() time.Time
}

// discovered is the issuer whose metadata say where the endpoint is, or the keys of signed answers.
func (o *Options) discovered(problem settings.Problem) *discovery.Issuer {
	if o.MetadataURL != "" {
		issuer, err := discovery.NewIssuerAt(o.Issuer, o.MetadataURL, discovery.Loopback(o.AllowLoopbackHTTP))
		if err != nil {
			problem("MetadataURL", "%w", err)
		}
		return issuer
	}
	issuer, err := discovery.NewIssuer(o.Issuer, discovery.Loopback(o.AllowLoopbackHTTP))
	if err != nil {
		problem("Issuer", "can't be the start of discovery: %w", err)
	}
	return issuer
}

func (o *Options) completeAuthentication(problem settings.Problem) ClientAuthentication {
	if o.Authentication == nil {
		problem("Authentication", "nil; for an endpoint that asks for none, NoAuthentication")
		return nil
	}
	a, err := o.Authentication.completed(o.Issuer, o.Now)
	// What is completed is the type itself, whatever it was embedded in.
	if _, ok := a.(NoAuthentication); ok && o.Endpoint == "" {
		problem("Endpoint", "empty, and Authentication is NoAuthentication: name the one that only this network reaches; metadata "+
			"names a public one")
	}
	if err != nil {
		problem("Authentication", "%w", err)
	}
	if _, ok := a.(TLSClientAuth); ok && (o.Client == nil || o.Client.Transport == nil) {
		problem("Client", "nil, or without Transport: TLSClientAuth needs one that presents the certificate")
	}
	return a
}

// signedAnswers returns what verifies signed answers; nil if they are plain.
func (o *Options) signedAnswers(problem settings.Problem) popauth.Verifier {
	if !o.Signed {
		if o.Keys != nil || o.Algorithms != nil {
			problem("Signed", "false: leave Keys and Algorithms empty")
		}
		return nil
	}
	if jose.NamedOrAll(o.Algorithms, problem); o.Issuer == "" || len(o.Audience) == 0 || o.Authentication == nil {
		return nil // which is reported
	}
	keys := o.Keys
	if keys == nil {
		// An error is one that discovered has reported.
		keys, _ = popauth.NewRemoteKeys(popauth.RemoteKeysOptions{
			Issuer: o.Issuer, MetadataURL: o.MetadataURL, Client: o.Client, RootCAs: o.RootCAs, AllowLoopbackHTTP: o.AllowLoopbackHTTP,
			Now: o.Now,
		})
	}
	audience := slices.Clone(o.Audience)
	if id := o.Authentication.clientID(); id != "" {
		audience = append(audience, id)
	}
	v, err := popauth.NewJWTVerifier(popauth.JWTOptions{
		Issuer: o.Issuer, Audience: audience, Keys: keys, Algorithms: o.Algorithms,
		TokenTypes: []string{signedAnswerType, "application/" + signedAnswerType}, AllowMissingExpiration: true,
		Leeway: o.Leeway, Remember: -1, Now: o.Now,
	})
	if err != nil {
		problem("Keys", "%w", err)
	}
	return v
}
