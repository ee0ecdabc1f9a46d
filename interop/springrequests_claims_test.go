//go:build unix

package interop_test

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/seed-171ab058/popauth/popauthtest"
)

// Claims, and those that bind.
func (d *springRequests) claimsRows() {
	// --- claims
	d.add("C01 aud array with this API second", d.bearer(claims{"aud": []string{"https://x", popauthtest.Audience}}))
	d.add("C02 aud other", d.bearer(claims{"aud": "https://other"}))
	d.add("C03 aud absent", d.bearer(claims{"aud": popauthtest.Omit}))
	d.add("C04 aud null", d.bearer(claims{"aud": nil}))
	d.add("C05 aud []", d.bearer(claims{"aud": []string{}}))
	d.add("C06 aud with trailing slash", d.bearer(claims{"aud": popauthtest.Audience + "/"}))
	d.add("C07 aud a number", d.bearer(claims{"aud": 5}))
	d.add("C08 iss other", d.bearer(claims{"iss": "https://evil"}))
	d.add("C09 iss with trailing slash", d.bearer(claims{"iss": d.issuer.URL + "/"}))
	d.add("C10 iss absent", d.bearer(claims{"iss": popauthtest.Omit}))
	d.add("C11 iss upper-case host", d.bearer(claims{"iss": strings.ToUpper(d.issuer.URL[:8]) + d.issuer.URL[8:]}))
	d.add("C12 expired 20 s ago", d.bearer(claims{"exp": seconds(-20), "iat": seconds(-600)}))
	d.add("C13 expired 45 s ago", d.bearer(claims{"exp": seconds(-45), "iat": seconds(-600)}))
	d.add("C14 expired 70 s ago", d.bearer(claims{"exp": seconds(-70), "iat": seconds(-600)}))
	d.add("C15 exp absent", d.bearer(claims{"exp": popauthtest.Omit}))
	d.add("C16 exp null", d.bearer(claims{"exp": nil}))
	d.add("C17 exp string", d.bearer(claims{"exp": fmt.Sprint(seconds(300))}))
	d.add("C18 exp fractional", d.bearer(claims{"exp": float64(seconds(300)) + 0.5}))
	d.add("C19 exp 1e300", d.bearer(claims{"exp": 1e300}))
	d.add("C20 nbf in 20 s", d.bearer(claims{"nbf": seconds(20)}))
	d.add("C21 nbf in 45 s", d.bearer(claims{"nbf": seconds(45)}))
	d.add("C22 nbf in 70 s", d.bearer(claims{"nbf": seconds(70)}))
	d.add("C23 iat in 1 h", d.bearer(claims{"iat": seconds(3600), "exp": seconds(7200)}))
	d.add("C24 iat absent", d.bearer(claims{"iat": popauthtest.Omit}))
	d.add("C25 sub absent", d.bearer(claims{"sub": popauthtest.Omit}))
	d.add("C26 sub null", d.bearer(claims{"sub": nil}))
	d.add("C27 sub number", d.bearer(claims{"sub": 12}))
	d.add("C28 client_id absent", d.bearer(claims{"client_id": popauthtest.Omit}))
	d.add("C29 jti absent", d.bearer(claims{"jti": popauthtest.Omit}))
	d.add("C30 scope array (as Spring AS)", d.bearer(claims{"scope": []string{"a", "b"}}))
	d.add("C31 scp array", d.bearer(claims{"scp": []string{"a", "b"}}))
	d.add("C32 scope null", d.bearer(claims{"scope": nil}))
	d.add("C33 scope number", d.bearer(claims{"scope": 7}))
	// --- cnf
	d.add("B01 x5t owner", d.bearer(d.owner.Bound()), d.owner)
	d.add("B02 x5t, no certificate", d.bearer(d.owner.Bound()))
	d.add("B03 x5t, other certificate", d.bearer(d.owner.Bound()), d.other)
	d.add("B04 x5t, certificate in header Client-Cert", single(func(s rawAPI) string {
		return s.get("/orders", field("Authorization", "Bearer "+d.token(s, d.owner.Bound())),
			field("Client-Cert", ":"+base64.StdEncoding.EncodeToString(d.owner.Certificate.Certificate[0])+":"),
			field("X-SSL-Client-Cert", base64.StdEncoding.EncodeToString(d.owner.Certificate.Certificate[0])))
	}))
	d.add("B05 x5t, other certificate, owner's in header", single(func(s rawAPI) string {
		return s.get("/orders", field("Authorization", "Bearer "+d.token(s, d.owner.Bound())),
			field("Client-Cert", ":"+base64.StdEncoding.EncodeToString(d.owner.Certificate.Certificate[0])+":"))
	}), d.other)
	d.add("B06 cnf {}", d.bearer(claims{"cnf": claims{}}))
	d.add("B07 cnf null", d.bearer(claims{"cnf": nil}))
	d.add("B08 cnf []", d.bearer(claims{"cnf": []string{}}))
	d.add("B09 cnf string", d.bearer(claims{"cnf": "x"}))
	d.add("B10 cnf unknown member kid", d.bearer(claims{"cnf": claims{"kid": "k"}}), d.owner)
	d.add("B11 cnf jwk", d.bearer(claims{"cnf": claims{"jwk": d.key.JWK()}}), d.owner)
	d.add("B12 x5t and unknown member", d.bearer(claims{"cnf": claims{"x5t#S256": d.owner.Thumbprint(), "foo": "x"}}), d.owner)
	d.add("B13 x5t empty string", d.bearer(claims{"cnf": claims{"x5t#S256": ""}}), d.owner)
	d.add("B14 x5t null", d.bearer(claims{"cnf": claims{"x5t#S256": nil}}))
	d.add("B15 x5t number", d.bearer(claims{"cnf": claims{"x5t#S256": 5}}), d.owner)
	d.add("B16 x5t with padding", d.bearer(claims{"cnf": claims{"x5t#S256": d.owner.Thumbprint() + "="}}), d.owner)
	d.add("B17 x5t in standard base64", d.bearer(claims{"cnf": claims{
		"x5t#S256": base64.StdEncoding.EncodeToString(sum(d.owner.Certificate.Certificate[0])),
	}}), d.owner)
	d.add("B18 x5t in hex", d.bearer(claims{"cnf": claims{"x5t#S256": fmt.Sprintf("%x", sum(d.owner.Certificate.Certificate[0]))}}),
		d.owner)
	d.add("B19 x5t other case of member (X5T#S256), no certificate", d.bearer(claims{"cnf": claims{"X5T#S256": d.owner.Thumbprint()}}))
	d.add("B20 x5t without #S256 (SHA-1 x5t)", d.bearer(claims{"cnf": claims{"x5t": "x"}}), d.owner)
	d.add("B21 jkt under Bearer, no proof", d.bearer(d.key.Bound()))
	d.add("B22 jkt under Bearer, with good proof", single(func(s rawAPI) string {
		k := d.token(s, d.key.Bound())
		return s.get("/orders", field("Authorization", "Bearer "+k), field("DPoP", d.proof(s, k)))
	}))
	both := func(s rawAPI) string {
		return d.token(s, claims{"cnf": claims{"x5t#S256": d.owner.Thumbprint(), "jkt": d.key.Thumbprint()}})
	}
	d.add("B23 both, DPoP and certificate", single(func(s rawAPI) string { k := both(s); return s.dpop(k, d.proof(s, k)) }), d.owner)
	d.add("B24 both, DPoP, no certificate", single(func(s rawAPI) string { k := both(s); return s.dpop(k, d.proof(s, k)) }))
	d.add("B25 both, certificate, Bearer", single(func(s rawAPI) string {
		return s.bearer(both(s))
	}), d.owner)
	d.add("B26 both, DPoP, other certificate", single(func(s rawAPI) string { k := both(s); return s.dpop(k, d.proof(s, k)) }), d.other)
	d.add("B27 both, DPoP of other key, certificate", single(func(s rawAPI) string {
		k := both(s)
		return s.dpop(k, d.thiefKey.Proof("GET", s.base+"/orders", k))
	}), d.owner)
	d.add("B28 jkt null under Bearer", d.bearer(claims{"cnf": claims{"jkt": nil}}))
	d.add("B29 jkt empty under Bearer", d.bearer(claims{"cnf": claims{"jkt": ""}}))
	d.add("B30 bearer token under DPoP with proof", single(func(s rawAPI) string { k := d.token(s); return s.dpop(k, d.proof(s, k)) }))
	d.add("B31 x5t token under DPoP with proof and certificate", single(func(s rawAPI) string {
		k := d.token(s, d.owner.Bound())
		return s.dpop(k, d.proof(s, k))
	}), d.owner)
	d.add("B32 duplicate cnf member, second empty", single(func(s rawAPI) string {
		pl := `"sub":"a",` + fmt.Sprintf(`"cnf":{"x5t#S256":%q},"cnf":{},`, d.owner.Thumbprint())
		return s.bearer(d.crafted(s, "", pl))
	}))
	d.add("B33 Cnf in other case, no certificate", d.bearer(claims{"Cnf": claims{"x5t#S256": d.owner.Thumbprint()}}))
}
