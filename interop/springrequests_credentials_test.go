//go:build unix

package interop_test

import (
	"github.com/seed-171ab058/popauth/popauthtest"
)

// Credentials, algorithms and headers of tokens.
func (d *springRequests) credentialsRows() {
	// --- token form and credentials
	d.add("T01 bearer good (RS256)", d.bearer())
	d.add("T02 bearer good ES256", d.headed(claims{"alg": "ES256"}))
	d.add("T03 bearer good PS256", d.headed(claims{"alg": "PS256"}))
	d.add("T04 no credentials", single(func(s rawAPI) string { return s.get("/orders") }))
	d.add("T05 scheme bearer in lower case", single(func(s rawAPI) string {
		return s.get("/orders", field("Authorization", "bearer "+d.token(s)))
	}))
	d.add("T06 scheme BEARER", single(func(s rawAPI) string { return s.get("/orders", field("Authorization", "BEARER "+d.token(s))) }))
	d.add("T07 two spaces after scheme", single(func(s rawAPI) string {
		return s.get("/orders", field("Authorization", "Bearer  "+d.token(s)))
	}))
	d.add("T08 tab after scheme", single(func(s rawAPI) string {
		return s.get("/orders", field("Authorization", "Bearer\t"+d.token(s)))
	}))
	d.add("T09 trailing space", single(func(s rawAPI) string {
		return s.bearer(d.token(s) + " ")
	}))
	d.add("T10 two Authorization headers, same token", single(func(s rawAPI) string {
		k := d.token(s)
		return s.get("/orders", field("Authorization", "Bearer "+k), field("Authorization", "Bearer "+k))
	}))
	d.add("T11 two Authorization headers, Basic first", single(func(s rawAPI) string {
		return s.get("/orders", field("Authorization", "Basic YTpi"), field("Authorization", "Bearer "+d.token(s)))
	}))
	d.add("T12 Basic", single(func(s rawAPI) string { return s.get("/orders", field("Authorization", "Basic YTpi")) }))
	d.add("T13 Bearer without token", single(func(s rawAPI) string { return s.get("/orders", field("Authorization", "Bearer")) }))
	d.add("T14 Bearer and an empty token", single(func(s rawAPI) string { return s.get("/orders", field("Authorization", "Bearer ")) }))
	d.add("T15 token in query alone", single(func(s rawAPI) string { return s.get("/orders?access_token=" + d.token(s)) }))
	d.add("T16 token in header and query", single(func(s rawAPI) string {
		k := d.token(s)
		return s.get("/orders?access_token="+k, field("Authorization", "Bearer "+k))
	}))
	d.add("T17 token in form body and header", single(func(s rawAPI) string {
		k := d.token(s)
		b := "access_token=" + k
		return s.form(b, field("Authorization", "Bearer "+k))
	}))
	d.add("T18 token in form body alone", single(func(s rawAPI) string {
		b := "access_token=" + d.token(s)
		return s.form(b)
	}))
	d.add("T19 Bearer a, Bearer b joined by comma", single(func(s rawAPI) string {
		return s.bearer(d.token(s) + ", Bearer " + d.token(s))
	}))
	d.add("T20 garbage token", single(func(s rawAPI) string { return s.get("/orders", field("Authorization", "Bearer abc.def.ghi")) }))
	d.add("T21 token with = padding in signature", single(func(s rawAPI) string {
		return s.bearer(d.token(s) + "==")
	}))
	d.add("T22 token with illegal character", single(func(s rawAPI) string {
		return s.bearer(d.token(s) + "\"")
	}))
	d.add("T23 four segments", single(func(s rawAPI) string {
		return s.bearer(d.token(s) + ".x")
	}))
	// --- algorithm, key
	d.add("A01 alg none", d.headed(claims{"alg": "none"}))
	d.add("A02 alg HS256 with the public key", d.headed(claims{"alg": "HS256"}))
	d.add("A03 alg ES384 (configured)", d.headed(claims{"alg": "ES384"}))
	d.add("A04 unknown kid", d.headed(claims{"kid": "unknown"}))
	d.add("A05 no kid", d.headed(claims{"kid": popauthtest.Omit}))
	d.add("A06 kid null", d.headed(claims{"kid": nil}))
	d.add("A07 kid a number", d.headed(claims{"kid": 7}))
	d.add("A08 kid of another alg's key", single(func(s rawAPI) string {
		x := s.header()
		x["alg"], x["kid"] = "RS256", d.headerOf("ES256")["kid"]
		return s.bearer(d.issuer.TokenWith(x))
	}))
	d.add("A09 crit with unknown", d.headed(claims{"crit": []string{"x"}, "x": 1}))
	d.add("A10 crit empty", d.headed(claims{"crit": []string{}}))
	d.add("A11 b64 false crit", d.headed(claims{"crit": []string{"b64"}, "b64": false}))
	d.add("A12 jwk in header (ignored)", d.headed(claims{"jwk": d.key.JWK()}))
	d.add("A13 jku in header (ignored)", d.headed(claims{"jku": "http://127.0.0.1:1/"}))
	d.add("A14 typ absent", d.headed(claims{"typ": popauthtest.Omit}))
	d.add("A15 typ at+jwt", d.headed(claims{"typ": "at+jwt"}))
	d.add("A16 typ AT+JWT", d.headed(claims{"typ": "AT+JWT"}))
	d.add("A17 typ application/at+jwt", d.headed(claims{"typ": "application/at+jwt"}))
	d.add("A18 typ JWT", d.headed(claims{"typ": "JWT"}))
	d.add("A19 typ jwt", d.headed(claims{"typ": "jwt"}))
	d.add("A20 typ application/jwt", d.headed(claims{"typ": "application/jwt"}))
	d.add("A21 typ dpop+jwt", d.headed(claims{"typ": "dpop+jwt"}))
	d.add("A22 typ logout+jwt", d.headed(claims{"typ": "logout+jwt"}))
	d.add("A23 zip NONE", d.headed(claims{"zip": "NONE"}))
	d.add("A24 cty JWT", d.headed(claims{"cty": "JWT"}))
	d.add("A25 signature altered", single(func(s rawAPI) string {
		k := d.token(s)
		return s.bearer(k[:len(k)-8] + "AAAAAAAA")
	}))
	d.add("A26 duplicate member sub in payload", single(func(s rawAPI) string {
		pl := `"sub":"a","sub":"b",`
		return s.bearer(d.crafted(s, "", pl))
	}))
	d.add("A27 duplicate alg in header", single(func(s rawAPI) string {
		pl := `"sub":"a",`
		return s.bearer(d.crafted(s, `"alg":"none",`, pl))
	}))
}
