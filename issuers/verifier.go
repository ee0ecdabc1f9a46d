package issuers

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/calls"
	"github.com/seed-171ab058/popauth/internal/jose"
	"github.com/seed-171ab058/popauth/internal/settings"
	"github.com/seed-171ab058/popauth/internal/strictjson"
)

// Verifier is a popauth.Verifier for the JWTs of several issuers. The iss of a token, which nothing vouches for yet, picks the
// Verifier, and that Verifier alone decides, with its own keys: what is signed with another issuer's key is refused, also
// under a kid that both have. A token of an unknown issuer is refused with popauth.ErrTokenIssuer, and nobody is asked for its
// keys. Make it with New; it is safe for concurrent use.
//
// A Guard with it lets every one of them in: Confirm alone, and a popauth.PolicyFunc that doesn't look at Principal.Issuer, open
// a tenant's route to all tenants. Give each route a popauth.Issuer or popauth.IssuerFunc.
type Verifier struct {
	options Options
	calls   *calls.Group[string, resolution]
	budget  *popauth.Budget

	successions *calls.Group[string, resolution] // one for each tenant in use at most

	mu      sync.RWMutex
	static  map[string]*tenant
	changes int
	tenants *tenants
}

var _ popauth.CachingVerifier = (*Verifier)(nil)

const defaultTokenBytes = 16 << 20

// New makes no request. The error lists every problem of the options.
func New(o Options) (*Verifier, error) {
	var wrong []error
	problem := settings.Problems("issuers: Options", &wrong)
	if len(o.Verifiers) == 0 && o.Resolve == nil {
		problem("Verifiers", "empty, and Resolve is nil")
	}
	for _, iss := range slices.Sorted(maps.Keys(o.Verifiers)) {
		if err := fitting(iss, o.Verifiers[iss]); err != nil {
			problem("Verifiers", "%w", err)
		}
	}
	settings.Duration(problem, "Remember", &o.Remember, time.Hour)
	settings.Duration(problem, "RememberUnknown", &o.RememberUnknown, 10*time.Second)
	settings.Duration(problem, "Timeout", &o.Timeout, 10*time.Second)
	settings.Duration(problem, "Wait", &o.Wait, 5*time.Second)
	settings.Duration(problem, "MaxAge", &o.MaxAge, max(o.Remember, 24*time.Hour))
	if o.MaxAge < o.Remember {
		problem("MaxAge", "%v is less than Remember, %v", o.MaxAge, o.Remember)
	}
	settings.Count(problem, "Entries", &o.Entries, 1000)
	settings.Count(problem, "Calls", &o.Calls, 64)
	switch {
	case o.Bytes < 0:
		problem("Bytes", "negative")
	case o.Bytes == 0:
		o.Bytes = defaultTokenBytes
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	b := popauth.NewBudget(o.Bytes)
	i := &Verifier{
		options: o, static: map[string]*tenant{}, budget: b, tenants: newTenants(o, b),
		calls:       calls.NewGroup[string, resolution](o.Calls, o.Timeout, o.Wait),
		successions: calls.NewGroup[string, resolution](o.Entries, o.Timeout, o.Wait),
	}
	for iss, v := range o.Verifiers {
		i.static[iss] = &tenant{verifier: v}
		shareBudget(v, i.budget)
	}
	return i, nil
}

// fitting returns what is wrong with a Verifier for that issuer's tokens. Of one that says nothing, nothing is known.
func fitting(iss string, v popauth.Verifier) error {
	switch all, said := saidIssuers(v); {
	case iss == "":
		return errors.New("an empty iss")
	case v == nil:
		return fmt.Errorf("%.256q: nil", iss)
	case said && !slices.Contains(all, iss):
		return fmt.Errorf("%.256q: a Verifier of other issuers", iss)
	}
	return nil
}

// saidIssuers returns whose tokens a Verifier accepts, as far as it says, and whether it does.
func saidIssuers(v popauth.Verifier) (all []string, said bool) {
	switch v := v.(type) {
	case interface{ KnownIssuers() []string }:
		return v.KnownIssuers(), true
	case interface{ Issuers() []string }:
		all = v.Issuers()
		return all, len(all) > 0
	}
	return nil, false
}

// Add lets the tokens of an issuer pass that v accepts, from the next request on. An issuer that was there gets the new
// Verifier. It is an error if iss is empty, or v is nil, or v says that it accepts other issuers only.
func (i *Verifier) Add(iss string, v popauth.Verifier) error {
	if i == nil || i.calls == nil {
		return errors.New("issuers: a Verifier that was not made by New")
	}
	if err := fitting(iss, v); err != nil {
		return fmt.Errorf("issuers: Verifier.Add: %w", err)
	}
	i.change(iss, v)
	return nil
}

// Remove forgets an issuer, be it added or resolved, with everything that its Verifier remembers, from the next request
// on. If there is a Resolve, it is asked about the issuer then.
func (i *Verifier) Remove(iss string) {
	if i != nil && i.calls != nil {
		i.change(iss, nil)
	}
}

// change drops what Resolve has said about an issuer, and what it is about to say.
func (i *Verifier) change(iss string, v popauth.Verifier) {
	defer i.calls.Forget(iss) // without mu, which a call may wait for
	defer i.successions.Forget(iss)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.changes++
	i.tenants.forget(sha256.Sum256([]byte(iss)))
	if old := i.static[iss]; old != nil {
		retireUnless(old.verifier, v)
	}
	delete(i.static, iss)
	if v != nil {
		i.static[iss] = &tenant{verifier: v}
		shareBudget(v, i.budget)
	}
}

// Verify lets the issuer's own Verifier decide. It refuses what that accepts of another issuer.
func (i *Verifier) Verify(ctx context.Context, token string) (*popauth.Token, error) {
	if i == nil || i.calls == nil {
		return nil, popauth.ErrUnconfigured
	}
	if err := jose.CheckSize(token); err != nil {
		return nil, &popauth.Error{Reason: popauth.ErrTokenMalformed, Err: err}
	}
	iss, err := claimedIssuer(token)
	if err != nil {
		return nil, err
	}
	n, err := i.tenant(ctx, iss)
	if err != nil {
		return nil, err
	}
	t, err := n.verifier.Verify(ctx, token)
	if err == nil && (t == nil || t.Issuer() != iss) {
		err = popauth.ErrTokenIssuer
	}
	if n.resolved {
		i.judge(sha256.Sum256([]byte(iss)), n, err == nil)
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

// Fresh implements CachingVerifier: the issuer is known, and its Verifier says so.
func (i *Verifier) Fresh(token string, t *popauth.Token) bool {
	if i == nil || i.calls == nil || t == nil {
		return false
	}
	r, known := i.known(t.Issuer(), sha256.Sum256([]byte(t.Issuer())))
	if !known || r.tenant == nil {
		return false
	}
	v, ok := r.tenant.verifier.(popauth.CachingVerifier)
	return ok && v.Fresh(token, t)
}

// claimedIssuer reads as little of a token as it needs: what counts is read again by the Verifier.
func claimedIssuer(token string) (string, error) {
	j, err := jose.Split(token)
	if err != nil {
		return "", &popauth.Error{Reason: popauth.ErrTokenMalformed, Err: err}
	}
	parts, err := j.Decode()
	if err != nil {
		return "", &popauth.Error{Reason: popauth.ErrTokenMalformed, Err: err}
	}
	defer parts.Close()
	iss, err := strictjson.PeekString(parts.Payload, "iss")
	switch {
	case err != nil:
		return "", &popauth.Error{Reason: popauth.ErrTokenMalformed, Err: err}
	case len(iss) == 0:
		return "", popauth.ErrTokenIssuer
	}
	return string(iss), nil
}

// KnownIssuers returns those that were configured or added: nobody can list what Resolve would find. It is no Issuers() of a
// Verifier, which never changes.
func (i *Verifier) KnownIssuers() []string {
	if i == nil {
		return nil
	}
	i.mu.RLock()
	defer i.mu.RUnlock()
	return slices.Sorted(maps.Keys(i.static))
}

// OpenTokenTypes returns the issuers of whose JWTs only the claims tell the kind, of those that were configured or added.
func (i *Verifier) OpenTokenTypes() []string {
	if i == nil {
		return nil
	}
	i.mu.RLock()
	defer i.mu.RUnlock()
	var all []string
	for _, iss := range slices.Sorted(maps.Keys(i.static)) {
		if v, ok := i.static[iss].verifier.(interface{ OpenTokenTypes() []string }); ok {
			all = append(all, v.OpenTokenTypes()...)
		}
	}
	return all
}
