package popauth

import (
	"context"
	"net/http"
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
	StageOutside      Stage = "outside"      // Refuse, for a refusal that is not this Guard's own
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

	// Issuer is that of a token which the Verifier has found genuine; "" for all others. With IssuersOptions.Resolve, or
	// a Verifier of yours, there are as many as these accept: too many for a label, perhaps.
	Issuer string

	// Scheme is Bearer or that of a SchemeConfirmer; "" if there were no credentials under one of them.
	Scheme string

	// Binding is the members of the genuine token's cnf, sorted, with a space between two, such as "jkt x5t#S256";
	// members that no Confirmer handles are "other". It is "" for a bearer token, and where there is no genuine one.
	Binding string

	// Remembered tells that the token needed no verification, since the same one had passed it.
	Remembered bool

	// Duration is what the stage took, the fetch of keys and calls of a ReplayStore included. Zero at StageOutside.
	Duration time.Duration
}

// observe starts the observation of a stage. What it returns ends it, and remembers with the refusal that there was one.
func (g *Guard) observe(ctx context.Context, stage Stage) func(*decision, *Error) {
	if g.options.Observe == nil {
		return func(*decision, *Error) {}
	}
	start := time.Now() // not Options.Now, which may stand still
	return func(d *decision, e *Error) {
		o := g.observation(stage, d, e)
		o.Duration = time.Since(start)
		g.options.Observe(ctx, o)
	}
}

func (g *Guard) observation(stage Stage, d *decision, e *Error) Observation {
	o := Observation{Stage: stage, Scheme: d.scheme(), Remembered: d.remembered}
	token := d.token
	if e != nil {
		e.observed = g
		o.Reason, o.Status = e.Reason, e.Status()
		if _, known := answers[e.Reason]; !known {
			o.Reason = ErrTokenInvalid
		}
		if o.Scheme == "" {
			o.Scheme = e.used
		}
		if token == nil {
			token = e.token
		}
	}
	if token != nil {
		o.Issuer, o.Binding = token.issuer, g.members(token)
	}
	return o
}

func (g *Guard) members(t *Token) string {
	var all []string
	for _, b := range t.bindings {
		member := b.Member
		if g.confirmers[member].Confirmer == nil {
			member = "other"
		}
		if !slices.Contains(all, member) {
			all = append(all, member)
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// observeOutside observes a refusal that no stage of a Guard has observed.
func (g *Guard) observeOutside(r *http.Request, e *Error) {
	if g == nil || g.options.Observe == nil || e.observed == g {
		return
	}
	g.options.Observe(r.Context(), g.observation(StageOutside, &decision{}, e))
}
