package interop_test

import (
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// The provider comes back with other keys: what it signs from then on passes, what the withdrawn key signed doesn't.
func TestRotation(t *testing.T) {
	p := newProvider(t)
	clock := popauthtest.NewClock(time.Now())
	keys := p.keys(func(o *popauth.RemoteKeysOptions) { o.Now = clock.Now })
	a := p.api(popauth.Options{Issuer: p.issuer, Audience: []string{structured}, Keys: keys})
	first := p.obtain(structured)
	// refresh lets the keys grow old. Who comes next, with a token of a key among them, has them fetched and doesn't wait.
	refresh := func(token string) {
		t.Helper()
		now := clock.Advance(2 * time.Hour)
		for end := time.Now().Add(time.Minute); !keys.LastRefresh().Equal(now); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("keys are of %v, the clock shows %v: %v", keys.LastRefresh(), now, keys.LastError())
			}
			a.use(t, p.byDN, token)
		}
	}

	a.want(t, p.byDN, first, "the first key", "")

	p.start(newSigningKey(t, "2"))
	clock.Advance(time.Minute) // longer than Cooldown
	second := p.obtain(structured)
	a.want(t, p.byDN, first, "the first key, while nobody has heard of the second", "")
	a.want(t, p.byDN, second, "a second key, which is looked for", "")
	a.want(t, p.byDN, first, "the first key, withdrawn", popauth.ErrTokenKey)

	// A key that takes over another's name is not looked for: it is known when the keys have been fetched again.
	p.start(newSigningKey(t, "2"))
	third := p.obtain(structured)
	a.want(t, p.byDN, third, "a third key under the name of the second, before the keys are fetched again", popauth.ErrTokenSignature)
	a.want(t, p.byDN, second, "the second key, before", "")
	refresh(second)
	a.want(t, p.byDN, third, "the third key", "")
	a.want(t, p.byDN, second, "the second key, withdrawn", popauth.ErrTokenSignature)
	a.want(t, p.byDN, first, "the first key, still withdrawn", popauth.ErrTokenKey)

	// While both are there, both count.
	both := []signingKey{newSigningKey(t, "4"), newSigningKey(t, "5")}
	p.start(both[0])
	fourth := p.obtain(structured)
	p.start(both[1], both[0])
	fifth := p.obtain(structured)
	refresh(third)
	a.want(t, p.byDN, fourth, "the fourth key, beside the fifth", "")
	a.want(t, p.byDN, fifth, "the fifth key", "")
}
