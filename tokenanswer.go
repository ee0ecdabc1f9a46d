package popauth

// AnswerRules say which tokens pass, of those that an authorization server says are active.
type AnswerRules struct {
	_ [0]func()

	// Issuer is the iss of a Token whose answer names none. If empty, it has none.
	Issuer string

	// RequiredClaims are members that every answer about an access token has and those about other tokens don't, as in
	// Options. If nil, none is required.
	RequiredClaims []string
}

// NewTokenFromAnswer reads what an authorization server answers about an active token (RFC 7662, section 2.2): for a Verifier
// that asks one, in whatever way. It is NewToken, but null and an empty aud are other spellings of an absent member, except
// of cnf. Most servers answer for refresh tokens and ID tokens as well, as active as any: what is no access token by its claims
// is refused with ErrTokenType. The Verifier has to hold the rest against what it expects, iss, aud and the time among it.
func NewTokenFromAnswer(answer []byte, rules AnswerRules) (*Token, error) {
	kinds := tokenKinds{required: sortedSet(rules.RequiredClaims)}
	t := &Token{}
	e, err := t.readAnswer(answer, kinds.required)
	if err != nil {
		return nil, err
	}
	for _, err := range []error{kinds.refuseSaid(e), kinds.refuse(e, t), kinds.refuseLack(e, t)} {
		if err != nil {
			return nil, err
		}
	}
	if t.issuer == "" {
		t.issuer = rules.Issuer
	}
	return t, nil
}
