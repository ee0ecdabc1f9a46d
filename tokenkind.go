package popauth

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/seed-171ab058/popauth/internal/jose"
	"github.com/seed-171ab058/popauth/internal/settings"
	"github.com/seed-171ab058/popauth/internal/strictjson"
)

// The same issuer signs, with the same key, ID tokens, refresh tokens, authorization responses and more, and many name
// an API in aud. What kind a token is of is said in several places. Here is the one list of kinds for all of them, in
// JWTs and in introspection answers.

// accessKinds are what issuers call an access token, in lower case.
var accessKinds = []string{
	"at+jwt", "application/at+jwt", // RFC 9068, section 2.1
	"jwt", "application/jwt", // RFC 7519, section 5.1: any JWT
	"urn:ietf:params:oauth:token-type:access_token", "urn:ietf:params:oauth:token-type:jwt", // RFC 8693, section 3
	"bearer", "dpop", // Keycloak's typ and most issuers' token_type, after RFC 6749, section 7.1
	"access", "access_token", "access-token", "accesstoken", "at", // Cognito, ForgeRock, Casdoor, Oracle
}

// anyJWT are those of accessKinds that any JWT has.
var anyJWT = []string{"jwt", "application/jwt"}

// idKinds are what issuers call an ID token.
var idKinds = []string{"id", "id_token", "id-token", "idtoken", "urn:ietf:params:oauth:token-type:id_token"}

// otherKinds are what issuers call the other tokens that they sign. They count where a claim hints at a kind.
var otherKinds = []string{
	"refresh", "refresh_token", "refresh-token", "refreshtoken", "rt", "offline", "urn:ietf:params:oauth:token-type:refresh_token",
	"rt+jwt", "logout", "logout_token", "code", "authorization_code", "initialaccess", "registration", "invitation",
	"reset", "password_reset", "reset_password", "reset-password", "verification", "email_verification", "verify_email",
}

// claimRole is what a claim tells about the kind of token that it stands in.
type claimRole struct {
	says  bool   // what kind it is, and nothing else: it must be one of accessKinds
	hints bool   // what kind it is, or something else: it counts if it is another kind
	of    string // by being there: tokens of this kind alone have it
}

// claimRoles are the claims that tell.
var claimRoles = map[string]claimRole{
	"typ": {says: true}, "token_use": {says: true}, "tokenName": {says: true}, "tokenType": {says: true}, "token_type": {says: true},
	"tokenUse": {says: true}, "tok_type": {says: true}, // Oracle's AT and IT
	"type": {hints: true}, "use": {hints: true}, "purpose": {hints: true},

	// OpenID Connect Core, sections 3.1.3.6 and 3.3.2.11; FAPI 1.0, part 2, section 5.1; CIBA, section 10.3.1; Apple's own
	"at_hash": {of: idToken}, "c_hash": {of: idToken}, "s_hash": {of: idToken}, "nonce_supported": {of: idToken},
	"urn:openid:params:jwt:claim:auth_req_id": {of: idToken}, "urn:openid:params:jwt:claim:rt_hash": {of: idToken},

	"granted_scopes": {of: "a refresh token"}, // Cloud Foundry UAA's, in place of scope
	"ati":            {of: "a refresh token"}, // Spring Security OAuth 2.x: the access token's jti, beside all that this has

	"events":              {of: "a security event or logout token"}, // RFC 8417, section 2.2
	"token_introspection": {of: "an introspection response"},        // RFC 9701, section 5

	// JARM, section 2.1. An error, or what the token endpoint answers.
	"error": {of: authorizationResponse}, "access_token": {of: authorizationResponse},
	"id_token": {of: authorizationResponse}, "refresh_token": {of: authorizationResponse},

	// RFC 9101, section 4, with the parameters of OpenID4VP and of CIBA's signed requests
	"response_type": {of: requestObject}, "response_mode": {of: requestObject}, "redirect_uri": {of: requestObject},
	"code_challenge": {of: requestObject}, "request_uri": {of: requestObject}, "response_uri": {of: requestObject},
	"dcql_query": {of: requestObject}, "presentation_definition": {of: requestObject},
	"client_notification_token": {of: requestObject}, "binding_message": {of: requestObject}, "id_token_hint": {of: requestObject},

	// RFC 7591, section 2.3; OpenID Federation, section 3
	"software_id": {of: statement}, "software_statement": {of: statement}, "redirect_uris": {of: statement},
	"token_endpoint_auth_method": {of: statement}, "jwks": {of: statement}, "authority_hints": {of: statement},
	"metadata_policy": {of: statement}, "trust_marks": {of: statement}, "trust_mark_type": {of: statement},

	// VC Data Model 1.1, section 6.3.1, and 2.0; SD-JWT VC, section 3.2.2; RFC 9901, section 4; Token Status List; OpenID4VCI
	"vc": {of: verifiable}, "vp": {of: verifiable}, "vct": {of: verifiable},
	"credentialSubject": {of: verifiable}, "@context": {of: verifiable},
	"_sd": {of: verifiable}, "_sd_alg": {of: verifiable}, "sd_hash": {of: verifiable},
	"vp_token": {of: verifiable}, "presentation_submission": {of: verifiable},
	"status_list": {of: verifiable}, "attested_keys": {of: verifiable},

	"tctx": {of: transactionToken}, "rctx": {of: transactionToken}, // draft-ietf-oauth-transaction-tokens, section 7

	"htm": {of: "a DPoP proof"}, "htu": {of: "a DPoP proof"}, // RFC 9449, section 4.2
}

const (
	idToken               = "an ID token"
	authorizationResponse = "an authorization response"
	requestObject         = "a request object"
	statement             = "a statement about a client or another party"
	verifiable            = "a verifiable credential"
	transactionToken      = "a transaction token"
)

// evidence is what a token's claims say about the kind of token that it is. The first of each counts.
type evidence struct {
	place, kind string // the claim that says another kind, and which; "" if none does
	access      bool   // a claim says that it is an access token
	dpop        bool   // a claim says that it is one bound by DPoP
	member      string // a claim that only another kind has
	idMember    string // a claim that only an ID token has

	nonce    bool   // OpenID Connect's nonce
	response bool   // code or state, as in an authorization response
	client   bool   // a client's name
	required int    // how many of the required claims there are
	named    string // what Options.ClientClaim says
	folded   bool   // there is one whose name differs from it in case only
}

// claim takes one claim of a token into account.
func (e *evidence) claim(name, text string, at int, v jsontext.Value, want tokenKinds) {
	null := v.Kind() == 'n'
	if len(want.required) > 0 && !null && slices.Contains(want.required, name) {
		e.required++
	}
	if name == want.client {
		e.named, _ = strictjson.StringAt(text, at, v) // what is no string names nobody
	} else if want.client != "" && strings.EqualFold(name, want.client) {
		e.folded = true
	}
	switch name {
	case "client_id", "azp", "cid", "appid":
		e.client = e.client || v.Kind() == '"' && len(v) > len(`""`)
	case "nonce":
		e.nonce = !null
	case "code", "state":
		e.response = e.response || !null
	default:
		if role, ok := claimRoles[name]; ok && !null {
			e.role(name, role, text, at, v)
		}
	}
}

func (e *evidence) role(name string, role claimRole, text string, at int, v jsontext.Value) {
	switch {
	case role.says:
		kind, err := strictjson.StringAt(text, at, v)
		if err != nil || !jose.Among(accessKinds, kind) {
			e.says(name, kind)
			return
		}
		e.access = e.access || !jose.Among(anyJWT, kind)
		e.dpop = e.dpop || strings.EqualFold(kind, "dpop")
	case role.hints:
		if kind, err := strictjson.StringAt(text, at, v); err == nil && (jose.Among(otherKinds, kind) || jose.Among(idKinds, kind)) {
			e.says(name, kind)
		}
	case role.of == idToken:
		e.idMember = name
	default:
		e.member = name
	}
}

func (e *evidence) says(place, kind string) {
	// An ID token may be allowed; what says something else as well may not.
	if e.place == "" || jose.Among(idKinds, e.kind) {
		e.place, e.kind = place, kind
	}
}

// tokenKinds is which kinds of token pass.
type tokenKinds struct {
	idTokens bool     // Options.AllowIDTokens
	required []string // Options.RequiredClaims
	client   string   // Options.ClientClaim
}

// check returns why a JWT is no access token; nil if it may be one. RFC 9068, section 5: an ID token must not pass for
// one. A type of its own rules out what only the claims tell, but not what the token says of itself.
func (k tokenKinds) check(e evidence, t *Token, typ string) error {
	if err := k.refuseSaid(e, t); err != nil {
		return err
	}
	if isAmbiguous(typ) {
		if err := k.refuse(e, t); err != nil {
			return err
		}
		if t.subject == "" && !e.client {
			return wrongKind("neither sub nor a client's name")
		}
	}
	return k.refuseLack(e, t)
}

// refuse returns why a token is no access token though its typ, if it has one, doesn't say so; nil if it may be one.
func (k tokenKinds) refuse(e evidence, t *Token) error {
	switch {
	case e.member != "":
		return wrongKind("claim %q, which %s has", e.member, claimRoles[e.member].of)
	case e.response && t.subject == "":
		return wrongKind("code or state without sub, as an authorization response has")
	case k.idTokens:
		return nil
	case e.idMember != "":
		return wrongKind("claim %q, which an ID token has; where the access tokens have it as well, see Options.AllowIDTokens", e.idMember)
	case e.nonce && !e.access && !slices.ContainsFunc(t.scopes, func(s string) bool { return s != "" && s != "openid" }):
		// client_id and roles stand in ID tokens too, and in UAA's the scope openid.
		return wrongKind("claim nonce and no scope but openid, as an ID token has; see Options.AllowIDTokens")
	}
	return nil
}

// refuseSaid returns why a token is no access token by its own word, or none of those that it says it is, whatever its typ; nil if
// it may be one.
func (k tokenKinds) refuseSaid(e evidence, t *Token) error {
	if e.dpop && !t.boundBy(memberJKT) { // RFC 9449, section 5: what is called so is bound so
		return &Error{Reason: ErrBindingMalformed, Err: errors.New("the token says DPoP, and its cnf has no jkt: " +
			"of a client's switches for certificates and for DPoP, turn on one")}
	}
	if e.place == "" || k.idTokens && jose.Among(idKinds, e.kind) {
		return nil
	}
	return wrongKind("claim %q says %.64q", e.place, e.kind)
}

// refuseLack returns which of the required claims a token has not.
func (k tokenKinds) refuseLack(e evidence, t *Token) error {
	if e.required == len(k.required) {
		return nil
	}
	missing := slices.Clone(k.required)
	err := strictjson.Members([]byte(t.payload), nil, func(name string, v jsontext.Value) error {
		if i := slices.Index(missing, name); i >= 0 && v.Kind() != 'n' {
			missing = slices.Delete(missing, i, i+1)
		}
		return nil
	})
	if err != nil {
		return errorOf(err, ErrTokenMalformed)
	}
	return wrongKind("no claim %q, and RequiredClaims asks for it", missing)
}

func wrongKind(format string, args ...any) error {
	return &Error{Reason: ErrTokenType, Err: fmt.Errorf(format, args...)}
}

// defaultTypes are Options.TokenTypes if that is nil.
var defaultTypes = []string{"at+jwt", "application/at+jwt", "JWT"}

// isAmbiguous tells whether a header's typ says nothing about the kind of token. A media type of a kind of its own ends in
// +jwt (RFC 8725, section 3.11); JWT, JOSE, none and whatever else an issuer writes are those of any kind.
func isAmbiguous(typ string) bool {
	const suffix = "+jwt"
	return len(typ) <= len(suffix) || !strings.EqualFold(typ[len(typ)-len(suffix):], suffix)
}

// completeKinds reports what is wrong with the settings.
func completeKinds(o JWTOptions, problem settings.Problem) tokenKinds {
	required := slices.Clone(o.RequiredClaims)
	slices.Sort(required)
	required = slices.Compact(required)
	if slices.Contains(required, "") {
		problem("RequiredClaims", "has an empty entry")
	}
	return tokenKinds{idTokens: o.AllowIDTokens, required: required, client: o.ClientClaim}
}
