package dpop

import (
	"fmt"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/settings"
)

const (
	defaultProofAge    = time.Minute
	maxProofAge        = 10 * time.Minute
	defaultProofLeeway = 10 * time.Second
	maxProofLeeway     = 5 * time.Minute
	maxProofRemember   = 11 * time.Minute

	// maxProofAhead is how far iat may be ahead where it doesn't count: so much longer is a proof remembered.
	maxProofAhead = time.Hour
)

// completeTimes fills in how long proofs are good and remembered, once Nonces is complete.
func (o *Options) completeTimes(alone bool, problem settings.Problem) {
	if o.MaxAge == 0 {
		o.MaxAge = defaultProofAge
	} else if o.MaxAge < time.Second || o.MaxAge > maxProofAge {
		problem("MaxAge", "%v is not between 1s and %v", o.MaxAge, maxProofAge)
	}
	if o.Leeway == 0 {
		o.Leeway = defaultProofLeeway
	} else if o.Leeway < 0 || o.Leeway > maxProofLeeway {
		problem("Leeway", "%v is not between 0 and %v", o.Leeway, maxProofLeeway)
	} else if sum := o.MaxAge + o.Leeway; sum > maxProofRemember && o.MaxAge <= maxProofAge {
		problem("Leeway", "%v and MaxAge, %v, are more than %v together", o.Leeway, o.MaxAge, maxProofRemember)
	}
	least, what := o.MaxAge+o.Leeway, "MaxAge and Leeway"
	if o.NonceTime {
		switch n, ok := o.Nonces.(StatelessNonces); {
		case !ok:
			problem("NonceTime", "Nonces is %T, not StatelessNonces: nothing tells when a nonce was made", o.Nonces)
		case n.Optional:
			problem("NonceTime", "StatelessNonces.Optional is set: a proof without a nonce has no time")
		case n.MaxAge > maxProofAge:
			problem("NonceTime", "StatelessNonces.MaxAge, %v, is more than %v, the longest that a proof may be good", n.MaxAge, maxProofAge)
		default:
			least, what = n.MaxAge+nonceAhead, "StatelessNonces.MaxAge and 30s"
		}
	}
	switch {
	case o.Remember == 0 && alone:
		o.Remember = least
	case o.Remember == 0:
		o.Remember = maxProofRemember
	case o.Remember < least || o.Remember > maxProofRemember:
		problem("Remember", "%v is not between %v, %s, and %v", o.Remember, least, what, maxProofRemember)
	}
}

// checkTime is item 11 of RFC 9449, section 4.3. The nonce has been checked before.
func (o *Options) checkTime(p proof, now time.Time) error {
	switch ahead, age := p.issued.Sub(now), now.Sub(p.issued); { // only for what is said: a difference can overflow
	case o.NonceTime && p.issued.After(now.Add(maxProofAhead)):
		return untimely(ahead, "iat is %v ahead of this clock, more than %v, the most that dpop.Options.NonceTime allows", maxProofAhead)
	case o.NonceTime:
		// The nonce was made by this server, no longer than its MaxAge ago.
	case p.issued.After(now.Add(o.Leeway)):
		return untimely(ahead, "iat is %v ahead of this clock, more than dpop.Options.Leeway, %v: see dpop.Options.NonceTime", o.Leeway)
	// With a nonce too: whoever can make a client sign ahead of time may have had the nonce as well.
	case now.After(p.issued.Add(o.MaxAge + o.Leeway)):
		return untimely(age, "iat is %v ago, more than dpop.Options.MaxAge and Leeway, %v: see dpop.Options.NonceTime", o.MaxAge+o.Leeway)
	}
	// RFC 7519, sections 4.1.4 and 4.1.5: a careful client's own bounds count too. They can only make the time shorter.
	switch {
	case !p.ends.IsZero() && !now.Before(p.ends.Add(o.Leeway)):
		return untimely(now.Sub(p.ends), "exp was %v ago, not less than dpop.Options.Leeway, %v", o.Leeway)
	case now.Before(p.begins.Add(-o.Leeway)):
		return untimely(p.begins.Sub(now), "nbf is %v ahead of this clock, more than dpop.Options.Leeway, %v", o.Leeway)
	}
	return nil
}

func untimely(by time.Duration, format string, most time.Duration) error {
	return &popauth.Error{Reason: popauth.ErrProofTime, Err: fmt.Errorf(format, by.Round(time.Millisecond), most)}
}

// remembered is until when a used proof is kept. Whoever shares the store may go by its iat or by its nonce, which is no
// newer than its use. An earlier use of the proof was kept until earliest or longer: it was not before the nonce, where
// that counts, and no end is before that of the iat.
func (o *Options) remembered(issued, now time.Time) (until, earliest time.Time) {
	since := issued
	if n, ok := o.Nonces.(StatelessNonces); ok && o.NonceTime {
		since = later(since, now.Add(-n.MaxAge))
	}
	kept := o.Remember + time.Second // a fraction of iat is cut off when it is read, hence the second
	return later(issued, now).Add(kept), since.Add(kept)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
