package interop_test

import (
	"net/http"
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
	client := p.byDN.HTTP(a.Server)
	obtain := func() string {
		t.Helper()
		token, err := p.bound(p.byDN, "by-dn", structured)
		if err != nil {
			t.Fatal(err)
		}
		return token.AccessToken
	}
	send := func(token string) outcome {
		t.Helper()
		r, err := http.NewRequest(http.MethodGet, a.URL+confirmed, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		return a.get(t, client, r)
	}
	use := func(token, what string, want popauth.Reason) {
		t.Helper()
		if got, want := send(token), wanted(want); got != want {
			t.Errorf("%s:\ngot  %+v\nwant %+v", what, got, want)
		}
	}
	first := obtain()
	// refresh lets the keys grow old. Who comes next has them fetched, and doesn't wait for it.
	refresh := func() {
		t.Helper()
		now := clock.Advance(2 * time.Hour)
		for end := time.Now().Add(10 * time.Second); !keys.LastRefresh().Equal(now); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("keys are of %v, the clock shows %v: %v", keys.LastRefresh(), now, keys.LastError())
			}
			send(first)
		}
	}

	use(first, "the first key", "")

	p.start(newSigningKey(t, "2"))
	clock.Advance(time.Minute) // longer than Cooldown
	second := obtain()
	use(first, "the first key, while nobody has heard of the second", "")
	use(second, "a second key, which is looked for", "")
	use(first, "the first key, withdrawn", popauth.ErrTokenKey)

	// A key that takes over another's name is not looked for: it is known when the keys have been fetched again.
	p.start(newSigningKey(t, "2"))
	third := obtain()
	use(third, "a third key under the name of the second, before the keys are fetched again", popauth.ErrTokenSignature)
	use(second, "the second key, before", "")
	refresh()
	use(third, "the third key", "")
	use(second, "the second key, withdrawn", popauth.ErrTokenSignature)
	use(first, "the first key, still withdrawn", popauth.ErrTokenKey)

	// While both are there, both count.
	both := []signingKey{newSigningKey(t, "4"), newSigningKey(t, "5")}
	p.start(both[0])
	fourth := obtain()
	p.start(both[1], both[0])
	fifth := obtain()
	refresh()
	use(fourth, "the fourth key, beside the fifth", "")
	use(fifth, "the fifth key", "")
}
