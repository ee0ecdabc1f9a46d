package popauth

import (
	"fmt"
	"time"

	"github.com/seed-171ab058/popauth/internal/settings"
)

// completeTimes fills in how long proofs are good and remembered, once Nonces is complete.
func (d *DPoP) completeTimes(alone bool, problem settings.Problem) {
	if d.MaxAge == 0 {
		d.MaxAge = defaultProofAge
	} else if d.MaxAge < time.Second || d.MaxAge > maxProofAge {
		problem("MaxAge", "%v is not between 1s and %v", d.MaxAge, maxProofAge)
	}
	if d.Leeway == 0 {
		d.Leeway = defaultProofLeeway
	} else if d.Leeway < 0 || d.Leeway > maxProofLeeway {
		problem("Leeway", "%v is not between 0 and %v", d.Leeway, maxProofLeeway)
	} else if sum := d.MaxAge + d.Leeway; sum > maxProofRemember && d.MaxAge <= maxProofAge {
		problem("Leeway", "%v and MaxAge, %v, are more than %v together", d.Leeway, d.MaxAge, maxProofRemember)
	}
	least, what := d.MaxAge+d.Leeway, "MaxAge and Leeway"
	if d.NonceTime {
		switch n, ok := d.Nonces.(StatelessNonces); {
		case !ok:
			problem("NonceTime", "Nonces is %T, not StatelessNonces: nothing tells when a nonce was made", d.Nonces)
		case n.Optional:
			problem("NonceTime", "StatelessNonces.Optional is set: a proof without a nonce has no time")
		case n.MaxAge > maxProofAge:
			problem("NonceTime", "StatelessNonces.MaxAge, %v, is more than %v, the longest that a proof may be good", n.MaxAge, maxProofAge)
		default:
			least, what = n.MaxAge+nonceAhead, "StatelessNonces.MaxAge and 30s"
		}
	}
	switch {
	case d.Remember == 0 && alone:
		d.Remember = least
	case d.Remember == 0:
		d.Remember = maxProofRemember
	case d.Remember < least || d.Remember > maxProofRemember:
		problem("Remember", "%v is not between %v, %s, and %v", d.Remember, least, what, maxProofRemember)
	}
}

// checkTime is item 11 of RFC 9449, section 4.3. The nonce has been checked before.
func (d DPoP) checkTime(p proof, now time.Time) error {
	switch ahead, age := p.issued.Sub(now), now.Sub(p.issued); { // only for what is said: a difference can overflow
	case d.NonceTime && p.issued.After(now.Add(maxProofAhead)):
		return untimely(ahead, "iat is %v ahead of this clock, more than %v, the most that DPoP.NonceTime allows", maxProofAhead)
	case d.NonceTime:
		// The nonce was made by this server, no longer than its MaxAge ago.
	case p.issued.After(now.Add(d.Leeway)):
		return untimely(ahead, "iat is %v ahead of this clock, more than DPoP.Leeway, %v: see DPoP.NonceTime", d.Leeway)
	// With a nonce too: whoever can make a client sign ahead of time may have had the nonce as well.
	case now.After(p.issued.Add(d.MaxAge + d.Leeway)):
		return untimely(age, "iat is %v ago, more than DPoP.MaxAge and Leeway, %v: see DPoP.NonceTime", d.MaxAge+d.Leeway)
	}
	// RFC 7519, sections 4.1.4 and 4.1.5: a careful client's own bounds count too. They can only make the time shorter.
	switch {
	case !p.ends.IsZero() && !now.Before(p.ends.Add(d.Leeway)):
		return untimely(now.Sub(p.ends), "exp was %v ago, not less than DPoP.Leeway, %v", d.Leeway)
	case now.Before(p.begins.Add(-d.Leeway)):
		return untimely(p.begins.Sub(now), "nbf is %v ahead of this clock, more than DPoP.Leeway, %v", d.Leeway)
	}
	return nil
}

func untimely(by time.Duration, format string, most time.Duration) error {
	return &Error{Reason: ErrProofTime, Err: fmt.Errorf(format, by.Round(time.Millisecond), most)}
}

// remembered is until when a used proof is kept. Whoever shares the store may go by its iat or by its nonce, which is no
// newer than its use. An earlier use of the proof was kept until earliest or longer: it was not before the nonce, where
// that counts, and no end is before that of the iat.
func (d DPoP) remembered(issued, now time.Time) (until, earliest time.Time) {
	since := issued
	if n, ok := d.Nonces.(StatelessNonces); ok && d.NonceTime {
		since = later(since, now.Add(-n.MaxAge))
	}
	kept := d.Remember + time.Second // a fraction of iat is cut off when it is read, hence the second
	return later(issued, now).Add(kept), since.Add(kept)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
