package popauth

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Stage is a part of a Guard's decision about a request.
type Stage string

// The stages. A request is authenticated once, by the first stage that it meets, and by each Check that is behind none;
// each Confirm and each Authorize behind it decides on its own.
const (
	StageAuthenticate Stage = "authenticate" // credentials, certificate, token, and possession of what it is bound to
	StageConfirm      Stage = "confirm"      // Confirm: the token is bound
	StageAuthorize    Stage = "authorize"    // Authorize, and Check with policies
	StageRecheck      Stage = "recheck"      // Recheck, while a request lasts
	StageOutside      Stage = "outside"      // Refuse and Refusal, for a refusal that is not this Guard's own
	StageDoor         Stage = "door"         // RequestLine.Handler, ClientCertificate and clientcert.Require, which belong to no Guard
)

// Observation is what one stage has decided about one request, for metrics and traces. Whatever a sender does, its
// strings come from a set that this package, the Options and the issuers' names make up: none of them is text of a
// request, so that each may be a label.
type Observation struct {
	_ [0]func()

	Stage Stage

	// Reason says why the request was refused; "" if the stage let it pass. What is none of the constants, from a
	// Verifier or a Policy of yours, is ErrTokenInvalid, as which it is answered.
	Reason Reason

	// Status is that of the answer; zero if the stage let the request pass. A request that ended before the decision,
	// since its client went away or its server shuts down, is ErrRequestEnded with 499: no fault of this side.
	Status int

	// Issuer is that of a token which the Verifier has found genuine; "" for all others. With issuers.Options.Resolve, or
	// a Verifier of yours, there are as many as these accept: too many for a label, perhaps.
	Issuer string

	// Scheme is Bearer or that of a SchemeConfirmer; "" if there were no credentials under one of them.
	Scheme string

	// Binding is the members of the genuine token's cnf, sorted, with a space between two, such as "jkt x5t#S256";
	// members that no Confirmer handles are "other". It is "" for a bearer token, and where there is no genuine one.
	Binding string

	// Remembered tells that the token needed no verification, since the same one had passed it: the Verifier, whichever
	// it is, has returned a Token that it had returned before.
	Remembered bool

	// Duration is what the stage took, the fetch of keys and calls of a dpop.ReplayStore included. Zero at StageOutside.
	Duration time.Duration
}

// observer tells Options.Observe what the stages of one Guard decide. The zero observer tells nobody.
type observer struct {
	tell       func(context.Context, Observation)
	guard      *identity
	schemes    *schemes
	confirmers *confirmers
}

// begin starts the observation of a stage. What it returns ends it, and remembers with the refusal that there was one.
func (o *observer) begin(ctx context.Context, stage Stage) func(*decision, *Error) {
	if o.tell == nil {
		return func(*decision, *Error) {}
	}
	start := time.Now() // not Options.Now, which may stand still
	return func(d *decision, e *Error) {
		seen := o.observation(stage, d, e)
		seen.Duration = time.Since(start)
		o.tell(ctx, seen)
	}
}

func (o *observer) observation(stage Stage, d *decision, e *Error) Observation {
	seen := Observation{Stage: stage, Scheme: o.schemes.name(d.under), Remembered: d.remembered}
	who := d.token.who()
	if e != nil {
		e.observed = o.guard
		seen.Reason, seen.Status = e.Reason.answered(), e.Status()
		if seen.Scheme == "" {
			seen.Scheme = e.used
		}
		if !who.known {
			who = e.who
		}
	}
	seen.Issuer, seen.Binding = who.issuer, o.members(who.bindings)
	return seen
}

// members names the ways of binding that the Guard knows.
func (o *observer) members(bindings []Binding) string {
	var all []string
	for _, b := range bindings {
		member := b.Member
		if len(o.confirmers.of[member]) == 0 {
			member = "other"
		}
		if !slices.Contains(all, member) {
			all = append(all, member)
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// outside observes a refusal that no stage of the Guard has observed.
func (o *observer) outside(ctx context.Context, e *Error) {
	if o.tell == nil || e.observed == o.guard {
		return
	}
	o.tell(ctx, o.observation(StageOutside, &decision{}, e))
}
