package tokenkinds_test

import (
	"maps"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// verdictOf is what a Guard with the default options says of a token with these claims besides all that an access token
// has, under the typ JWT and under at+jwt.
func verdictOf(t *testing.T, i *popauthtest.Issuer, claims popauthtest.Claims) (jwt, at bool) {
	t.Helper()
	keys, err := popauth.StaticKeys(i.JWKS())
	if err != nil {
		t.Fatal(err)
	}
	all := popauthtest.Claims{"scope": "orders.read"}
	maps.Copy(all, claims)
	for typ, passed := range map[string]*bool{"JWT": &jwt, "at+jwt": &at} {
		o := popauth.Options{Issuer: i.URL, Audience: []string{popauthtest.Audience}, Keys: keys, Remember: -1}
		reason, ran := sentTo(t, o, i.TokenWith(popauthtest.Claims{"typ": typ}, all))
		if *passed = ran; !ran && reason != popauth.ErrTokenType {
			t.Errorf("%v: got reason %q, want %q", claims, reason, popauth.ErrTokenType)
		}
	}
	return jwt, at
}

// One claim of another kind's is enough, whatever else the token has; a type of its own rules it out.
func TestTokenKindsEachMark(t *testing.T) {
	i := popauthtest.NewIssuer(t, "ES256")
	for _, name := range []string{
		"at_hash", "c_hash", "s_hash", "nonce_supported", "urn:openid:params:jwt:claim:auth_req_id", "urn:openid:params:jwt:claim:rt_hash",
		"events", "token_introspection", "error", "access_token", "id_token", "refresh_token",
		"response_type", "response_mode", "redirect_uri", "code_challenge", "request_uri", "response_uri", "dcql_query",
		"presentation_definition", "client_notification_token", "binding_message", "id_token_hint",
		"software_id", "granted_scopes", "ati", "vp_token", "presentation_submission", "software_statement", "redirect_uris",
		"token_endpoint_auth_method", "jwks", "authority_hints",
		"metadata_policy", "trust_marks", "trust_mark_type",
		"vc", "vp", "vct", "credentialSubject", "@context", "_sd", "_sd_alg", "sd_hash", "status_list", "attested_keys",
		"htm", "htu", "tctx", "rctx",
	} {
		for _, value := range []any{"x", "", true, 0, []string{}, map[string]any{}} {
			if jwt, at := verdictOf(t, i, popauthtest.Claims{name: value}); jwt || !at {
				t.Errorf("%s %v: passed under JWT %t and at+jwt %t, want false and true", name, value, jwt, at)
			}
		}
		if jwt, _ := verdictOf(t, i, popauthtest.Claims{name: nil}); !jwt {
			t.Errorf("%s null: refused", name)
		}
	}
}

// What a token says of itself counts under any type.
func TestTokenKindsEachSpelling(t *testing.T) {
	i := popauthtest.NewIssuer(t, "ES256")
	places := []string{"typ", "token_use", "tokenName", "tokenType", "token_type", "tok_type"}
	for _, place := range places {
		for value, want := range map[any]bool{
			"Bearer": true, "access": true, "ACCESS": true, "access_token": true, "access-token": true, "AT": true,
			"at+jwt": true,
			"JWT":    true, "urn:ietf:params:oauth:token-type:access_token": true,
			"ID": false, "IT": false, "id": false, "id_token": false, "Refresh": false, "Offline": false, "Logout": false,
			"refresh_token": false,
			"refresh-token": false, "rt": false, "sliding": false, "reset-credentials": false, "N_A": false, "": false, "Bearer ": false,
			"beareR\u200b": false,
			"\u212a":       false, 1: false, true: false,
			"urn:ietf:params:oauth:token-type:refresh_token": false, "urn:ietf:params:oauth:token-type:id_token": false,
		} {
			if jwt, at := verdictOf(t, i, popauthtest.Claims{place: value}); jwt != want || at != want {
				t.Errorf("%s %v: passed under JWT %t, at+jwt %t, want %t", place, value, jwt, at, want)
			}
		}
	}
	// Two places that disagree.
	for _, place := range places[1:] {
		if jwt, at := verdictOf(t, i, popauthtest.Claims{"typ": "Bearer", place: "refresh"}); jwt || at {
			t.Errorf("typ Bearer, %s refresh: passed under JWT %t, at+jwt %t", place, jwt, at)
		}
	}
	for _, place := range []string{"type", "use", "purpose"} {
		for _, value := range []string{"refresh", "Refresh_Token", "refresh-token", "id", "ID_TOKEN", "offline", "logout"} {
			if jwt, at := verdictOf(t, i, popauthtest.Claims{place: value}); jwt || at {
				t.Errorf("%s %s: passed under JWT %t, at+jwt %t, want neither", place, value, jwt, at)
			}
		}
	}
}

// Claims that issuers put into access tokens, by a protocol, by habit or by a mapper for a user's attribute, don't
// refuse one.
func TestTokenKindsHarmless(t *testing.T) {
	i := popauthtest.NewIssuer(t, "ES256")
	for _, claims := range []popauthtest.Claims{
		{"state": "CA"}, {"code": "E12"}, {"state": "CA", "code": "E12"}, // an address, a personnel number; Janssen's code
		// Casdoor, Cloudflare Access
		{"type": "employee"}, {"type": "normal-user"}, {"type": "app"}, {"type": 1}, {"type": []string{"refresh"}},
		{"use": "sig"}, {"purpose": "access_token"}, {"purpose": "payments"}, {"kind": "refresh"}, // Curity
		// Keycloak
		{"nonce": "n"}, {"nonce": "n", "scope": "openid", "typ": "Bearer"}, {"nonce": "n", "scope": popauthtest.Omit, "scp": "read"},
		{"auth_time": 1}, {"acr": "1"}, {"amr": []string{"pwd"}}, {"azp": "web"}, {"sid": "s"}, {"session_state": "s"},
		{"expires_in": 3600}, {"grant_type": "authorization_code"}, {"realm": "/"}, {"authGrantId": "a"}, // PingAM
		{"login_hint": "O.CiQ"}, {"roles": []string{"r"}}, {"wids": []string{"w"}}, {"idtyp": "app"}, // Entra
		{"permissions": []string{"p"}}, {"gty": "client-credentials"}, {"org_id": "o"}, // Auth0
		{"status": "active"}, {"status": map[string]any{"status_list": map[string]any{"idx": 1, "uri": "u"}}}, // Token Status List
		{"metadata": map[string]any{}}, {"user_metadata": map[string]any{}}, {"resource": "r"}, {"txn": "t"}, {"purp": "p"},
		// RFC 8693, RFC 9396
		{"act": map[string]any{"sub": "a"}}, {"may_act": map[string]any{"sub": "a"}}, {"authorization_details": []any{}},
		{"sub_id": map[string]any{"format": "opaque", "id": "i"}}, {"client_name": "c"}, {"user_code": "u"}, {"email": "e"},
		{"address": map[string]any{}},
		{"x5t#S256": ""}, {"identity_nonce": "n"}, {"uid": "u"}, {"rat": 1}, {"events_read": true},
	} {
		if jwt, at := verdictOf(t, i, claims); !jwt || !at {
			t.Errorf("%v: passed under JWT %t and at+jwt %t, want both", claims, jwt, at)
		}
	}
}

// kindGuard is what a Guard with these options says of a token under the typ JWT, with these claims and no others than
// iss, aud, iat, exp and jti.
func kindGuard(t *testing.T, i *popauthtest.Issuer, required []string, idTokens bool, claims popauthtest.Claims) bool {
	t.Helper()
	keys, err := popauth.StaticKeys(i.JWKS())
	if err != nil {
		t.Fatal(err)
	}
	o := popauth.Options{
		Issuer: i.URL, Audience: []string{popauthtest.Audience}, Keys: keys, Remember: -1, RequiredClaims: required,
		AllowIDTokens: idTokens,
	}
	none := popauthtest.Claims{"sub": popauthtest.Omit, "client_id": popauthtest.Omit}
	reason, ran := sentTo(t, o, i.TokenWith(popauthtest.Claims{"typ": "JWT"}, none, claims))
	if !ran && reason != popauth.ErrTokenType {
		t.Errorf("%v: got reason %q, want %q", claims, reason, popauth.ErrTokenType)
	}
	return ran
}

// Somebody has to be named: a subject or a client.
func TestTokenKindsNamed(t *testing.T) {
	i := popauthtest.NewIssuer(t, "ES256")
	for _, name := range []string{"sub", "client_id", "azp", "cid", "appid"} {
		if !kindGuard(t, i, nil, false, popauthtest.Claims{name: "batch", "scope": "orders.read"}) {
			t.Errorf("%s alone: refused", name)
		}
		if kindGuard(t, i, nil, false, popauthtest.Claims{name: "", "scope": "orders.read"}) {
			t.Errorf("empty %s alone: passed", name)
		}
	}
	for _, claims := range []popauthtest.Claims{
		{"scope": "orders.read"}, {"azp": []string{"batch"}, "scope": "orders.read"}, {"azp": nil}, {"username": "alice"},
		{"sub": "alice", "client_id": "web", "nonce": "n"}, {"sub": "alice", "client_id": "web", "nonce": "n", "scope": "openid"},
		{"sub": "alice", "roles": []string{"r"}, "nonce": "n", "scope": ""}, {"client_id": "web", "code": "c"},
		{"azp": "web", "state": "s", "scope": "openid"},
	} {
		if kindGuard(t, i, nil, false, claims) {
			t.Errorf("%v: passed", claims)
		}
	}
}

// A required claim is there by its name to the letter, at the top, and not null; what it says doesn't count.
func TestTokenKindsRequired(t *testing.T) {
	i := popauthtest.NewIssuer(t, "ES256")
	for _, tt := range []struct {
		required []string
		claims   popauthtest.Claims
		want     bool
	}{
		{required: []string{"scope"}, claims: popauthtest.Claims{"scope": "orders.read"}, want: true},
		{required: []string{"scope", "scope"}, claims: popauthtest.Claims{"scope": ""}, want: true},
		{required: []string{"azp"}, claims: popauthtest.Claims{"azp": nil}},
		{required: []string{"scope"}, claims: popauthtest.Claims{"scp": "orders.read"}},
		{required: []string{"azp"}, claims: popauthtest.Claims{"Azp": "web"}},
		{required: []string{"scope", "azp"}, claims: popauthtest.Claims{"scope": "orders.read"}},
		{required: []string{"scope", "azp"}, claims: popauthtest.Claims{"scope": "orders.read", "azp": "web"}, want: true},
		{required: []string{"scope", "azp", "scope"}, claims: popauthtest.Claims{"scope": "orders.read", "azp": "web"}, want: true},
		{required: []string{"kubernetes.io"}, claims: popauthtest.Claims{"kubernetes.io": map[string]any{}}, want: true},
		{required: []string{"kubernetes.io"}, claims: popauthtest.Claims{"kubernetes": map[string]any{"io": true}}},
		{required: []string{"https://example.com/roles"}, claims: popauthtest.Claims{"https://example.com/roles": []string{}}, want: true},
		{required: []string{"admin"}, claims: popauthtest.Claims{"admin": false}, want: true},
		{required: []string{"roles"}, claims: popauthtest.Claims{"realm_access": map[string]any{"roles": []string{"r"}}}},
	} {
		tt.claims["sub"] = "alice"
		if got := kindGuard(t, i, tt.required, false, tt.claims); got != tt.want {
			t.Errorf("%q of %v: passed %t, want %t", tt.required, tt.claims, got, tt.want)
		}
	}
}

// AllowIDTokens lets ID tokens pass, however they are marked, and nothing that says another kind as well.
func TestTokenKindsAllowed(t *testing.T) {
	i := popauthtest.NewIssuer(t, "ES256")
	for _, tt := range []struct {
		claims popauthtest.Claims
		want   bool
	}{
		{claims: popauthtest.Claims{"at_hash": "x", "c_hash": "y", "s_hash": "z", "nonce": "n"}, want: true},
		{claims: popauthtest.Claims{"typ": "ID", "nonce": "n"}, want: true},
		{claims: popauthtest.Claims{"token_use": "id"}, want: true},
		{claims: popauthtest.Claims{"tokenName": "id_token"}, want: true},
		{claims: popauthtest.Claims{"type": "id_token"}, want: true},
		{claims: popauthtest.Claims{"at_hash": "x", "events": map[string]any{}}},
		{claims: popauthtest.Claims{"at_hash": "x", "typ": "Refresh"}},
		{claims: popauthtest.Claims{"at_hash": "x", "error": "login_required"}},
		{claims: popauthtest.Claims{"token_use": "id", "tokenName": "refresh_token"}},
		{claims: popauthtest.Claims{"token_use": "refresh", "typ": "ID"}},
		{claims: popauthtest.Claims{"token_use": "id", "typ": "Refresh"}},
	} {
		tt.claims["sub"] = "alice"
		if got := kindGuard(t, i, nil, true, tt.claims); got != tt.want {
			t.Errorf("%v: passed %t, want %t", tt.claims, got, tt.want)
		}
		if kindGuard(t, i, nil, false, tt.claims) {
			t.Errorf("%v: passed without AllowIDTokens", tt.claims)
		}
	}
}
