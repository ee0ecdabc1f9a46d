package popauth

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth/internal/discovery"
	"github.com/seed-171ab058/popauth/internal/keys"
	"github.com/seed-171ab058/popauth/internal/settings"
)

// KeySource finds the key that a token names. RemoteKeys and StaticKeys are made for it; a Keyfunc of keyfunc/v3 is
// one too. Whatever it returns is used only if it fits the token's algorithm in kind, curve and size. An error that
// wraps ErrUnavailable is answered with 503, any other with 401.
type KeySource interface {
	KeyfuncCtx(context.Context) jwt.Keyfunc
}

// StaticKeys returns the public keys of a JWK Set (RFC 7517, section 5) that never changes. Keys that can't verify a
// token are left out: private, symmetric, for encryption, too small, of an unknown kind; and of more than 200, those
// after the first 200. It is an error if none is left; the error names each key and what is wrong with it. A key with a
// member issuer, as Microsoft Entra's have, counts for the tokens of that issuer alone, in which {tenantid} stands for
// any text of one segment; see Options.KeyIssuer.
//
// A token names its key by kid; one without a kid by x5t#S256 or x5t (RFC 7515, sections 4.1.7 and 4.1.8). Of the keys
// with that name the first three that fit the algorithm are tried. A token that names no key is accepted if only one key
// fits its algorithm.
func StaticKeys(jwks []byte) (KeySource, error) {
	set, err := keys.Read(jwks)
	if err != nil {
		return nil, fmt.Errorf("popauth: StaticKeys: %w", err)
	}
	return staticKeys{keys.Static{Set: set}}, nil
}

type staticKeys struct{ own keys.Static }

// KeyfuncCtx returns keyfunc's choice for a token.
func (s staticKeys) KeyfuncCtx(ctx context.Context) jwt.Keyfunc { return chooseFrom(ctx, s.own) }

// ownOf returns what a KeySource of ours has its keys from; nil for any other. It is a type switch, not an interface: a foreign
// type that embeds one of these, and chooses differently, would inherit its methods.
func ownOf(source KeySource) keys.Source {
	switch k := source.(type) {
	case *RemoteKeys:
		return k.own()
	case staticKeys:
		return k.own
	}
	return nil
}

// chooseFrom returns keyfunc's choice in golang-jwt's way: one key, or several to be tried.
func chooseFrom(ctx context.Context, from keys.Source) jwt.Keyfunc {
	return func(t *jwt.Token) (any, error) {
		if key, ok := from.Snapshot().KnownTo(t); ok {
			return key, nil
		}
		w, err := keys.WantedBy(t)
		if err != nil {
			return nil, keyError(ctx, err)
		}
		found, _, err := from.Find(ctx, w)
		if err != nil {
			return nil, keyError(ctx, err)
		}
		return keys.Choice(found, w), nil
	}
}

// keyError gives an error of internal/keys its Reason: the key is not there, or the keys can't be had, or the request has ended.
func keyError(ctx context.Context, err error) *Error {
	if e, ok := errors.AsType[*keys.NotFoundError](err); ok {
		return &Error{Reason: ErrTokenKey, Err: e.Err}
	}
	return endOf(ctx, &Error{Reason: ErrUnavailable, Err: err}) // whatever a fetch has failed with
}

// RemoteKeysOptions configure RemoteKeys.
type RemoteKeysOptions struct {
	_ [0]func()

	// Issuer is where discovery starts: its OpenID Connect or RFC 8414 metadata, whose issuer must be this to the
	// letter, names the JWK Set. The four places in use are tried in turn. The JWK Set may be on another host, but inside
	// of a network only if the issuer is there too. Either Issuer or URL must be set.
	Issuer string

	// MetadataURL is where the metadata is, for an issuer whose metadata is at none of the usual places, or whose own
	// address can't be reached from here. The metadata's issuer must be Issuer all the same, which then need not be a URL.
	// If empty, the usual places are tried.
	MetadataURL string

	// URL is that of the JWK Set, for an issuer without metadata.
	URL string

	// Client makes the requests. Redirects to another origin are not followed, whatever it says. If nil, one of
	// popauth's own, which uses the proxy of the environment, and connects to a host that the metadata names only if its
	// address is outside of networks, or the issuer's address is inside too. A Client with a Transport of its own has to
	// judge addresses itself (net.Dialer.Control); so has a proxy. Only a host that is written as an address is refused then.
	Client *http.Client

	// RootCAs verify the issuer's certificate, for one whose authority is private. Connections are held as ever to where they may
	// lead. A Client with a Transport of its own has its own: RootCAs must be nil then. If nil, the system's.
	RootCAs *x509.CertPool

	// AllowLoopbackHTTP lets URLs be http if their host is a loopback address or localhost, for development. If
	// false, everything is https.
	AllowLoopbackHTTP bool

	// AllowPrivateHTTP lets URLs be http also if their host's address is inside of a network, such as http://keycloak:8080 among
	// containers: where it isn't, nothing is sent. Danger: who is on that network, or answers for its names, can put his own keys
	// in the place of the issuer's, and make any token. Client must have no Transport, and no proxy of the environment may be in
	// between. If false, http is for loopback at most.
	AllowPrivateHTTP bool

	// Timeout bounds one fetch, metadata included. If zero, 10 s.
	Timeout time.Duration

	// Wait is how long a request waits at most for a fetch that it needs. If zero, 5 s.
	Wait time.Duration

	// Refresh is the age at which keys are fetched anew, unless the issuer's Cache-Control or Expires says something
	// else between one minute and a day. It is never more than half of MaxAge, and up to a fifth less, so that many
	// instances spread. An issuer that says no-store or no-cache about everything, or an Expires that is no date, is asked once
	// a minute; if Refresh is set, as often as that says. The fetch is made beside the requests; one that comes more than a tenth
	// later, when nobody has asked since, waits for it. The metadata, too, is asked again where the keys are before what it said is older
	// than Refresh. If zero, one hour.
	Refresh time.Duration

	// MaxAge is the age after which keys that could not be fetched anew are no longer used. If zero, 24 hours.
	MaxAge time.Duration

	// Cooldown is the time between two fetches that are made because tokens name unknown keys; no other fetch begins
	// it, so the first unknown key is looked for at once. A wrong signature counts as an unknown key, once the keys are older than
	// this and if the token would pass otherwise. A key that is not found is looked for again after this time,
	// then twice this time, and so on up to a minute. If zero, 10 s.
	Cooldown time.Duration

	// Now is the clock. If nil, time.Now.
	Now func() time.Time
}

// RemoteKeys are the keys of one issuer, fetched from it when they are first needed and kept fresh since. Requests
// that need the same fetch share it; it goes on when one of them ends, and no goroutine stays behind it. While the
// issuer can't be reached, the keys it gave last serve up to MaxAge; after that errors wrap ErrUnavailable. So they do at once if
// its JWK Set has no usable key any more: that withdraws those from before. An issuer that
// answers 429 or 503 with Retry-After is left alone for that time, ten minutes at most. An error about a key that the
// issuer does not have wraps ErrTokenKey. How a token names its key is as with StaticKeys. Make it with NewRemoteKeys,
// without which it has no keys; it is safe for concurrent use.
type RemoteKeys struct {
	remote *keys.Remote
	issuer string // as configured; "" if the JWK Set's URL is given
	plain  bool   // they may come by http
}

// NewRemoteKeys makes no request. The error lists every problem of the options.
func NewRemoteKeys(o RemoteKeysOptions) (*RemoteKeys, error) {
	var wrong []error
	problem := settings.Problems("popauth: RemoteKeysOptions", &wrong)
	from := keys.RemoteOptions{Floor: o.Refresh} // what it is if it is set
	plain := discovery.Loopback(o.AllowLoopbackHTTP)
	if o.AllowPrivateHTTP {
		plain = discovery.PrivateHTTP
		if o.Client != nil && o.Client.Transport != nil {
			problem("AllowPrivateHTTP", "set, but Client has a Transport, which can't be held to private addresses")
		}
	}
	var err error
	switch {
	case (o.Issuer == "") == (o.URL == ""):
		problem("Issuer", "either Issuer or URL must be set")
	case o.URL != "":
		if from.URL, err = discovery.ParseURL(o.URL, plain); err != nil {
			problem("URL", "%w", err)
		}
		if o.MetadataURL != "" {
			problem("MetadataURL", "set, but URL says already where the keys are")
		}
	case o.MetadataURL != "":
		if from.Issuer, err = discovery.NewIssuerAt(o.Issuer, o.MetadataURL, plain); err != nil {
			problem("MetadataURL", "%w", err)
		}
	default:
		if from.Issuer, err = discovery.NewIssuer(o.Issuer, plain); err != nil {
			problem("Issuer", "%w", err)
		}
	}
	if o.RootCAs != nil && o.Client != nil && o.Client.Transport != nil {
		problem("RootCAs", "set, but Client has a Transport, whose TLSClientConfig says it")
	}
	settings.Duration(problem, "Timeout", &o.Timeout, 10*time.Second)
	settings.Duration(problem, "Wait", &o.Wait, 5*time.Second)
	settings.Duration(problem, "Refresh", &o.Refresh, time.Hour)
	settings.Duration(problem, "MaxAge", &o.MaxAge, 24*time.Hour)
	settings.Duration(problem, "Cooldown", &o.Cooldown, 10*time.Second)
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	from.Client, from.Now = discovery.NewClient(o.Client, o.Now), o.Now
	from.Client.Trust(o.RootCAs)
	from.Timeout, from.Wait, from.Refresh, from.MaxAge, from.Cooldown = o.Timeout, o.Wait, o.Refresh, o.MaxAge, o.Cooldown
	return &RemoteKeys{remote: keys.NewRemote(from), issuer: o.Issuer, plain: plain != discovery.NoHTTP}, nil
}

// KeyfuncCtx returns keyfunc's choice of key for a token: several, to be tried in turn, where the issuer has given one name to
// several. The function waits for a fetch if it needs one, no longer than ctx and RemoteKeysOptions.Wait. It needs one if
// there are no keys, and if the token names one that is not among them and that the issuer has not been asked for a short
// while ago.
func (k *RemoteKeys) KeyfuncCtx(ctx context.Context) jwt.Keyfunc {
	if !k.made() {
		return func(*jwt.Token) (any, error) { return nil, ErrUnconfigured }
	}
	return chooseFrom(ctx, k.remote)
}

// own is what the keys come from; it is of no use if they were not made by NewRemoteKeys.
func (k *RemoteKeys) own() *keys.Remote {
	if k == nil {
		return nil
	}
	return k.remote
}

func (k *RemoteKeys) made() bool { return k.own() != nil }

// Preload fetches the keys now, whatever their age, and asks the metadata where they are: call it at start-up, so that
// a wrong issuer fails early, and after a key has been withdrawn. It waits for a fetch that is under way already, which
// may have been answered before the withdrawal, and makes another. Preload waits as long as ctx, and for each of the
// two as long as Timeout. An error changes nothing about the keys that there are, unless it says that the issuer has
// withdrawn them all.
func (k *RemoteKeys) Preload(ctx context.Context) error {
	if !k.made() {
		return ErrUnconfigured
	}
	if err := k.remote.Preload(ctx); err != nil {
		return &Error{Reason: ErrUnavailable, Err: err}
	}
	return nil
}

// Ready tells whether there are keys to verify tokens with. If not, it begins to fetch them and does not wait: a probe
// that lets no request through until there are keys would otherwise wait for ever.
func (k *RemoteKeys) Ready() bool { return k.made() && k.remote.Ready() }

// LastRefresh is when the issuer last gave its keys; zero if it never has, or has withdrawn them all.
func (k *RemoteKeys) LastRefresh() time.Time {
	if !k.made() {
		return time.Time{}
	}
	return k.remote.LastRefresh()
}

// LastError is why the last fetch failed; nil if it didn't. Old keys may serve in spite of it.
func (k *RemoteKeys) LastError() error {
	if !k.made() {
		return ErrUnconfigured
	}
	return k.remote.LastError()
}

// Size is about what the keys need, in bytes: for whoever keeps those of many issuers, within a bound.
func (k *RemoteKeys) Size() int64 {
	if !k.made() {
		return 0
	}
	return k.remote.Size()
}

// keyReason tells a key that is not there from a look-up that the request's end cut short.
func keyReason(ctx context.Context) Reason {
	if ctx.Err() != nil {
		return ErrUnavailable
	}
	return ErrTokenKey
}
