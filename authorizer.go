package popauth

import (
	"net/http"
	"sync"
)

// authorizer asks policies about what one Guard has decided.
type authorizer struct {
	several  bool // issuers can be behind the Verifier
	clock    clock
	schemes  *schemes
	observer *observer
}

// allow asks the policies of a stage, if there are any, and has that observed.
func (a *authorizer) allow(r *http.Request, d *decision, stage Stage, policies []Policy) *Error {
	if len(policies) == 0 {
		return nil
	}
	observed := a.observer.begin(r.Context(), stage)
	err := a.ask(r, d, policies)
	observed(d, err)
	return err
}

// ask shows the policies one view of the token, which none of them changes. Where the token alone decides, none is made.
func (a *authorizer) ask(r *http.Request, d *decision, policies []Policy) *Error {
	if len(policies) == 0 {
		return nil
	}
	if a.several && unsaid(policies) { // of Check and Recheck: Authorize panics
		return &Error{Reason: ErrIssuerUnsaid, Err: errIssuerUnsaid, who: d.token.who(), header: d.header}
	}
	var view *Principal
	defer func() {
		if view != nil {
			*view = Principal{} // a pool would keep its token and certificate alive
			views.Put(view)
		}
	}()
	for _, policy := range policies {
		var err error
		if policy.token != nil {
			err = policy.token(d.token)
		} else {
			if view == nil {
				view = a.view(d)
			}
			err = policy.check(r, view)
		}
		if err != nil {
			return a.refuse(r, d, policies, err)
		}
	}
	return nil
}

// refuse returns the refusal of one of the policies, with the challenge that says what all of them ask for.
func (a *authorizer) refuse(r *http.Request, d *decision, policies []Policy, err error) *Error {
	e := endOf(r.Context(), refused(err, ErrForbidden))
	e.who, e.used, e.header = d.token.who(), a.schemes.name(d.under), d.header
	e.asked = asked(e.Reason, pursued(policies, e.branch))
	e.challenges = a.schemes.challenges(e)
	return e
}

// views are Principals that policies look at, and that nobody keeps.
var views = sync.Pool{New: func() any { return new(Principal) }}

// view returns a Principal out of views.
func (a *authorizer) view(d *decision) *Principal {
	view, _ := views.Get().(*Principal)
	*view = d.token.view(d.certificate)
	view.clock = a.clock
	return view
}
