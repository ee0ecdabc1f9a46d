package probe

import (
	"context"
	"crypto/ecdsa"
	"encoding/base64"
	"math/big"
	"strings"
	"sync"
	"time"
)

// atOnce is how many requests are sent at the same time, to see whether one proof is good for two of them.
const atOnce = 8

// later is when a proof is sent again that a memory of seconds would have forgotten.
const later = 4 * time.Second

func replayChecks() []Check {
	check := func(name string, title string, run func(*session) verdict) Check {
		return Check{Name: name, Section: "RFC 9449, section 11.1", Severity: High, needs: needsKey, Title: title,
			Want: "401: one request for each proof", run: run}
	}
	all := []Check{
		check("replay", "a proof that was used, again", replayed(func(*session, *call) {})),
		check("replay-later", "a proof that was used, again after seconds", replayedLater),
		check("replay-address", "a proof that was used, again at the API's second address", replayedAddress),
		check("replay-http2", "a proof that was used, again over HTTP/2", replayed(func(_ *session, c *call) { c.link.http2 = true })),
		check("replay-at-once", "one proof in requests at the same time", replayedAtOnce),
		check("replay-respelled", "a proof that was used, in another spelling, or with the other signature that anybody can make of it",
			replayedRespelled),
		check("replay-query", "a proof that was used, again with another query", replayed(func(_ *session, c *call) {
			c.withQuery("popauth_probe", "1")
		})),
	}
	all[3].needs |= needsHTTP2
	return all
}

// used sends the owner's request, and returns the proof that was good for it.
func (s *session) used() (text string, v *verdict) {
	if a := s.send(s.owner()); !s.accepted(a) {
		doubt := unclear("the owner's own request came to %s", a.outcome())
		return "", &doubt
	}
	return s.proof, nil
}

func (s *session) again(text string, change func(*session, *call)) *call {
	c := s.owner()
	c.proof, c.proofs = nil, []string{text}
	change(s, c)
	return c
}

func replayed(change func(*session, *call)) func(*session) verdict {
	return func(s *session) verdict {
		text, doubt := s.used()
		if doubt != nil {
			return *doubt
		}
		return s.replay(text, change)
	}
}

func (s *session) replay(text string, change func(*session, *call)) verdict {
	a := s.send(s.again(text, change))
	switch why := a.unknown(); {
	case s.accepted(a):
		return found("answered with %s, as the owner was", a.outcome())
	case why != "":
		return unclear("%s", why)
	}
	return passed()
}

func replayedLater(s *session) verdict {
	text, doubt := s.used()
	if doubt != nil {
		return *doubt
	}
	select {
	case <-time.After(later):
	case <-s.ctx.Done():
		return unclear("%v", context.Cause(s.ctx))
	}
	return s.replay(text, func(*session, *call) {})
}

func replayedAddress(s *session) verdict {
	if len(s.addresses) < 2 {
		return skipped("%s has one address that takes connections", s.url.Hostname())
	}
	for i := range s.addresses[1:] {
		text, doubt := s.used()
		if doubt != nil {
			return *doubt
		}
		if v := s.replay(text, func(_ *session, c *call) { c.link.address = i + 1 }); v.state != Passed {
			return v
		}
	}
	return passed()
}

// replayedAtOnce sends one proof several times before the first answer can have come.
func replayedAtOnce(s *session) verdict {
	c := s.owner()
	text, err := c.proof.write(c.method, c.proofURL, c.token, s.nonce)
	if err != nil {
		return unclear("%v", err)
	}
	if err := s.take(atOnce); err != nil {
		return unclear("%v", err)
	}
	lines, err := s.again(text, func(*session, *call) {}).lines(s)
	if err != nil {
		return unclear("%v", err)
	}
	var group sync.WaitGroup
	answers := make([]answer, atOnce)
	for i := range answers {
		group.Go(func() { answers[i] = s.exchange(s.ctx, c, lines) })
	}
	group.Wait()
	n := 0
	for _, a := range answers {
		s.note(a, c.token)
		if s.accepted(a) {
			n++
		}
	}
	switch {
	case n > 1:
		return found("%d of %d were answered as the owner is", n, atOnce)
	case n == 0:
		return unclear("none of %d was answered as the owner is: the first came to %s", atOnce, answers[0].outcome())
	}
	return passed()
}

// replayedRespelled asks whether an API remembers the text of a proof instead of its jti.
func replayedRespelled(s *session) verdict {
	var spellings []string
	text, doubt := s.used()
	if doubt != nil {
		return *doubt
	}
	spellings = append(spellings, text+"=", " "+text, text+" ")
	if other := mirrored(text, s.options.Key); other != "" {
		spellings = append(spellings, other)
	}
	for _, one := range spellings {
		if v := s.replay(one, func(*session, *call) {}); v.state != Passed {
			return v
		}
	}
	return passed()
}

// mirrored has the other signature that ECDSA takes for the same: r and n-s.
func mirrored(text string, k *Key) string {
	public, ok := k.private.Public().(*ecdsa.PublicKey)
	at := strings.LastIndexByte(text, '.') + 1
	signature, err := base64.RawURLEncoding.DecodeString(text[at:])
	if !ok || err != nil || len(signature)%2 != 0 {
		return ""
	}
	half := len(signature) / 2
	s := new(big.Int).SetBytes(signature[half:])
	s.Sub(public.Curve.Params().N, s)
	s.FillBytes(signature[half:])
	return text[:at] + encode(signature)
}
