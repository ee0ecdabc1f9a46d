package popauth_test

import (
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

type payment struct {
	popauth.AuthorizationDetail
	Account string `json:"account"`
	Limit   int    `json:"limit"`
}

func TestAuthorizationDetails(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	own := popauth.AuthorizationDetails("payment", func(r *http.Request, p payment) error {
		if p.Account != r.URL.Query().Get("account") || len(p.Actions) != 1 || p.Actions[0] != "initiate" {
			return errors.New("another account or action")
		}
		return nil
	})
	down := popauth.AuthorizationDetails("payment", func(_ *http.Request, p payment) error {
		if p.Account == "down" {
			return popauth.ErrUnavailable
		}
		return errors.New("no")
	})
	pay := func(account any) lab.Claims {
		return lab.Claims{"type": "payment", "actions": []string{"initiate"}, "account": account}
	}
	other := lab.Claims{"type": "account_information", "account": 5}
	const missing = lab.LacksScope + `, error_description="The access token lacks authorization details"`
	for _, tt := range []struct {
		name     string
		details  any
		policies []popauth.Policy
		status   int
		want     string
	}{
		{"one", []any{pay("a")}, []popauth.Policy{own}, 200, ""},
		{"second", []any{pay("b"), other, pay("a")}, []popauth.Policy{own}, 200, ""},
		{"none allowed", []any{pay("b"), pay("c")}, []popauth.Policy{own}, 403, missing},
		{"of another type", []any{lab.Claims{"type": "Payment", "actions": []string{"initiate"}, "account": "a"}}, []popauth.Policy{own},
			403, missing},
		{"no claim", lab.Omit, []popauth.Policy{own}, 403, missing},
		{"empty array", []any{}, []popauth.Policy{own}, 403, missing},
		{"null", nil, []popauth.Policy{own}, 403, missing},
		{"one object", pay("a"), []popauth.Policy{own}, 403, missing},
		{"string of an array", `[{"type":"payment","actions":["initiate"],"account":"a"}]`, []popauth.Policy{own}, 403, missing},
		{"beside no object", []any{pay("a"), "x"}, []popauth.Policy{own}, 403, missing},
		{"beside null", []any{pay("a"), nil}, []popauth.Policy{own}, 403, missing},
		{"beside one without type", []any{pay("a"), lab.Claims{"account": "a"}}, []popauth.Policy{own}, 403, missing},
		{"beside one of empty type", []any{pay("a"), lab.Claims{"type": ""}}, []popauth.Policy{own}, 403, missing},
		{"beside one of type 5", []any{pay("a"), lab.Claims{"type": 5}}, []popauth.Policy{own}, 403, missing},
		{"beside one that doesn't fit", []any{pay("a"), pay(5)}, []popauth.Policy{own}, 403, missing},
		{"member of other case", []any{lab.Claims{"type": "payment", "actions": []string{"initiate"}, "Account": "a"}},
			[]popauth.Policy{own}, 403, missing},
		{"type of other case beside", []any{lab.Claims{"type": "payment", "Type": "x", "actions": []string{"initiate"}, "account": "a"}},
			[]popauth.Policy{own}, 403, missing},
		{"with a scope that the route asks for", []any{}, []popauth.Policy{popauth.Scope("orders.read"), own}, 403,
			missing + `, scope="orders.read"`},
		{"any of, by scope", []any{}, []popauth.Policy{popauth.AnyOf(own, popauth.Scope("orders.read"))}, 200, ""},
		{"any of, by details", []any{pay("a")}, []popauth.Policy{popauth.AnyOf(popauth.Scope("x"), own)}, 200, ""},
		{"another reason", []any{pay("x"), pay("down")}, []popauth.Policy{down}, 503, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := lab.Send(g.Authorize(tt.policies...),
				l.Owner.Request("GET", "/?account=a", l.Bound(lab.Claims{"authorization_details": tt.details})))
			if tt.status == 200 {
				o.Passed(t)
				return
			}
			o.Refused(t, tt.status, tt.want)
			if tt.want != "" && o.Challenges[0] != tt.want {
				t.Errorf("got %s, want %s", o.Challenges[0], tt.want)
			}
		})
	}
	for says, details := range map[string]any{
		"none of that type": []any{other}, "without type": []any{pay("a"), lab.Claims{"type": ""}}, "doesn't fit its type": []any{pay(5)},
	} {
		_, err := g.Check(l.Owner.Request("GET", "/?account=a", l.Bound(lab.Claims{"authorization_details": details})), own)
		if !lab.ReasonIs(err, popauth.ErrAuthorizationDetails) || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want it to say %q", err, says)
		}
	}
	for name, f := range map[string]func(){
		"no type":     func() { popauth.AuthorizationDetails("", func(*http.Request, payment) error { return nil }) },
		"not UTF-8":   func() { popauth.AuthorizationDetails("\xff", func(*http.Request, payment) error { return nil }) },
		"no function": func() { popauth.AuthorizationDetails[payment]("payment", nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

// A route that takes no tokens has no claims to look at: no policy on them can be given to it.
func TestPoliciesOfTokensWithoutOne(t *testing.T) {
	for _, door := range []any{clientcert.Require, clientcert.Check, clientcert.Recheck} {
		f := reflect.TypeOf(door)
		if takes := f.In(f.NumIn() - 1).Elem(); reflect.TypeFor[popauth.Policy]().ConvertibleTo(takes) {
			t.Errorf("%v: a policy that looks at a token can be given to it", f)
		}
	}
}

func ExampleAuthorizationDetails() {
	issuer := popauthtest.NewIssuer(t)
	owner := popauthtest.SelfSigned(t, "owner")
	guard, err := popauth.New(issuer.Options())
	if err != nil {
		panic(err)
	}
	type payment struct {
		popauth.AuthorizationDetail
		Account string `json:"account"`
	}
	pay := guard.Authorize(popauth.AuthorizationDetails("payment", func(r *http.Request, p payment) error {
		if p.Account != r.PathValue("account") {
			return errors.New("another account")
		}
		return nil
	}))
	mux := http.NewServeMux()
	mux.Handle("POST /accounts/{account}/payments", pay(orders))
	token := issuer.Token(owner.Bound(), popauthtest.Claims{
		"authorization_details": []payment{{popauth.AuthorizationDetail{Type: "payment"}, "DE89"}},
	})
	show(mux, owner.Request("POST", "/accounts/DE89/payments", token))
	show(mux, owner.Request("POST", "/accounts/FR76/payments", token))
	// Output:
	// 200 orders of client-1
	// 403
}
