//go:build unix

package interop_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
)

// DPoP proofs.
func (d *springRequests) proofsRows() {
	// --- proofs
	with := func(c claims) func(s rawAPI, k string) string {
		return func(s rawAPI, k string) string { return d.proof(s, k, c) }
	}
	htu := func(f func(s rawAPI) string) func(rawAPI, string) string {
		return func(s rawAPI, k string) string { return d.proof(s, k, claims{"htu": f(s)}) }
	}
	d.add("P01 good", d.proved("/orders", d.plainProof))
	d.add("P02 good with query in the request", d.proved("/orders?a=1", d.plainProof))
	d.add("P03 scheme dpop in lower case", single(func(s rawAPI) string {
		k := d.token(s, d.key.Bound())
		return s.get("/orders", field("Authorization", "dpop "+k), field("DPoP", d.proof(s, k)))
	}))
	d.add("P04 scheme DPOP", single(func(s rawAPI) string {
		k := d.token(s, d.key.Bound())
		return s.get("/orders", field("Authorization", "DPOP "+k), field("DPoP", d.proof(s, k)))
	}))
	d.add("P05 two spaces after DPoP", single(func(s rawAPI) string {
		k := d.token(s, d.key.Bound())
		return s.get("/orders", field("Authorization", "DPoP  "+k), field("DPoP", d.proof(s, k)))
	}))
	d.add("P06 no proof", single(func(s rawAPI) string {
		return s.get("/orders", field("Authorization", "DPoP "+d.token(s, d.key.Bound())))
	}))
	d.add("P07 two DPoP headers, both good", single(func(s rawAPI) string {
		k := d.token(s, d.key.Bound())
		return s.get("/orders", dpopHeaders(k, d.proof(s, k)), field("DPoP", d.proof(s, k)))
	}))
	d.add("P08 two DPoP headers, second empty", single(func(s rawAPI) string {
		k := d.token(s, d.key.Bound())
		return s.get("/orders", dpopHeaders(k, d.proof(s, k)), field("DPoP", ""))
	}))
	d.add("P09 two proofs joined by comma", d.proved("/orders", func(s rawAPI, k string) string {
		return d.proof(s, k) + ", " + d.proof(s, k)
	}))
	d.add("P10 htu with query, request has it", single(func(s rawAPI) string {
		k := d.token(s, d.key.Bound())
		return s.get("/orders?a=1", dpopHeaders(k, d.proof(s, k, claims{"htu": s.base + "/orders?a=1"})))
	}))
	d.add("P11 htu with fragment", d.proved("/orders", htu(func(s rawAPI) string { return s.base + "/orders#f" })))
	d.add("P12 htu scheme in upper case", d.proved("/orders", htu(func(s rawAPI) string { return "HTTPS" + s.base[5:] + "/orders" })))
	d.add("P13 htu with trailing slash", d.proved("/orders", htu(func(s rawAPI) string { return s.base + "/orders/" })))
	d.add("P14 htu path in other case", d.proved("/orders", htu(func(s rawAPI) string { return s.base + "/ORDERS" })))
	d.add("P15 htu without port", d.proved("/orders", htu(func(s rawAPI) string { return "https://127.0.0.1/orders" })))
	d.add("P16 htu other port", d.proved("/orders", htu(func(s rawAPI) string { return "https://127.0.0.1:1/orders" })))
	d.add("P17 htu http", d.proved("/orders", htu(func(s rawAPI) string { return "http" + s.base[5:] + "/orders" })))
	d.add("P18 htu other host", d.proved("/orders", htu(func(s rawAPI) string { return "https://evil.example/orders" })))
	d.add("P19 htu other path", d.proved("/orders", htu(func(s rawAPI) string { return s.base + "/other" })))
	d.add("P20 htu percent-encoded letter (%6Frders)", d.proved("/orders", htu(func(s rawAPI) string { return s.base + "/%6Frders" })))
	d.add("P21 htu path with dot segment", d.proved("/orders", htu(func(s rawAPI) string { return s.base + "/x/../orders" })))
	d.add("P22 htu path alone", d.proved("/orders", htu(func(s rawAPI) string { return "/orders" })))
	d.add("P23 htu with userinfo", d.proved("/orders", htu(func(s rawAPI) string { return "https://u@" + s.addr + "/orders" })))
	d.add("P24 htu absent", d.proved("/orders", with(claims{"htu": popauthtest.Omit})))
	d.add("P25 htu empty", d.proved("/orders", with(claims{"htu": ""})))
	d.add("P26 htu array", d.proved("/orders", func(s rawAPI, k string) string {
		return d.proof(s, k, claims{"htu": []string{s.base + "/orders"}})
	}))
	d.add("P27 Host header 'API.example' upper case, htu lower, port 443 left out", single(func(s rawAPI) string {
		k := d.token(s, d.key.Bound())
		return s.at("API.example").dpop(k, d.key.Proof("GET", "https://api.example/orders", k))
	}))
	d.add("P28 Host header with :443, htu without", single(func(s rawAPI) string {
		k := d.token(s, d.key.Bound())
		return s.at("api.example:443").dpop(k, d.key.Proof("GET", "https://api.example/orders", k))
	}))
	d.add("P29 Host without port, htu with :443", single(func(s rawAPI) string {
		k := d.token(s, d.key.Bound())
		return s.at("api.example").dpop(k, d.key.Proof("GET", "https://api.example/orders", k,
			claims{"htu": "https://api.example:443/orders"}))
	}))
	d.add("P30 htm lower case", d.proved("/orders", with(claims{"htm": "get"})))
	d.add("P31 htm other", d.proved("/orders", with(claims{"htm": "POST"})))
	d.add("P32 htm absent", d.proved("/orders", with(claims{"htm": popauthtest.Omit})))
	d.add("P33 iat 25 s ago", d.proved("/orders", func(s rawAPI, k string) string { return d.proof(s, k, claims{"iat": seconds(-25)}) }))
	d.add("P34 iat 50 s ago", d.proved("/orders", func(s rawAPI, k string) string { return d.proof(s, k, claims{"iat": seconds(-50)}) }))
	d.add("P35 iat 80 s ago", d.proved("/orders", func(s rawAPI, k string) string { return d.proof(s, k, claims{"iat": seconds(-80)}) }))
	d.add("P36 iat in 5 s", d.proved("/orders", func(s rawAPI, k string) string { return d.proof(s, k, claims{"iat": seconds(5)}) }))
	d.add("P37 iat in 20 s", d.proved("/orders", func(s rawAPI, k string) string { return d.proof(s, k, claims{"iat": seconds(20)}) }))
	d.add("P38 iat in 50 s", d.proved("/orders", func(s rawAPI, k string) string { return d.proof(s, k, claims{"iat": seconds(50)}) }))
	d.add("P39 iat absent", d.proved("/orders", with(claims{"iat": popauthtest.Omit})))
	d.add("P40 iat string", d.proved("/orders", func(s rawAPI, k string) string {
		return d.proof(s, k, claims{"iat": fmt.Sprint(seconds(0))})
	}))
	d.add("P41 iat fractional", d.proved("/orders", func(s rawAPI, k string) string {
		return d.proof(s, k, claims{"iat": float64(seconds(0)) + 0.25})
	}))
	d.add("P42 exp passed in the proof", d.proved("/orders", func(s rawAPI, k string) string {
		return d.proof(s, k, claims{"exp": seconds(-300)})
	}))
	d.add("P42b exp of the proof 2 s ago, iat 5 s ago", d.proved("/orders", func(s rawAPI, k string) string {
		return d.proof(s, k, claims{"iat": seconds(-5), "exp": seconds(-2)})
	}))
	d.add("P43 nbf in the future in the proof", d.proved("/orders", func(s rawAPI, k string) string {
		return d.proof(s, k, claims{"nbf": seconds(300)})
	}))
	d.add("P44 same proof twice", func(s rawAPI) []string {
		k := d.token(s, d.key.Bound())
		r := s.dpop(k, d.proof(s, k))
		return []string{r, r}
	})
	d.add("P45 two proofs, one jti, one key", func(s rawAPI) []string {
		k := d.token(s, d.key.Bound())
		j := fmt.Sprint("jti-", time.Now().UnixNano())
		return []string{s.dpop(k, d.proof(s, k, claims{"jti": j})), s.dpop(k, d.proof(s, k, claims{"jti": j, "x": 1}))}
	})
	d.add("P46 one jti, two keys (each with its token)", func(s rawAPI) []string {
		j := fmt.Sprint("jti-", time.Now().UnixNano())
		k1, k2 := d.token(s, d.key.Bound()), d.token(s, d.thiefKey.Bound())
		return []string{s.dpop(k1, d.proof(s, k1, claims{"jti": j})),
			s.dpop(k2, d.thiefKey.Proof("GET", s.base+"/orders", k2, claims{"jti": j}))}
	})
	d.add("P47 one jti, one key, two URLs", func(s rawAPI) []string {
		j := fmt.Sprint("jti-", time.Now().UnixNano())
		k := d.token(s, d.key.Bound())
		return []string{s.dpop(k, d.proof(s, k, claims{"jti": j})),
			s.get("/other", dpopHeaders(k, d.key.Proof("GET", s.base+"/other", k, claims{"jti": j})))}
	})
	d.add("P48 proof refused first (other method), then used rightly", func(s rawAPI) []string {
		k := d.token(s, d.key.Bound())
		pr := d.proof(s, k)
		return []string{s.form("", dpopHeaders(k, pr)), s.dpop(k, pr)}
	})
	d.add("P49 jti absent", d.proved("/orders", with(claims{"jti": popauthtest.Omit})))
	d.add("P50 jti empty", d.proved("/orders", with(claims{"jti": ""})))
	d.add("P51 jti number", d.proved("/orders", with(claims{"jti": 5})))
	d.add("P52 jti of 5000 characters", d.proved("/orders", func(s rawAPI, k string) string {
		return d.proof(s, k, claims{"jti": strings.Repeat("j", 4900) + fmt.Sprint(time.Now().UnixNano())})
	}))
	d.add("P53 ath absent", d.proved("/orders", with(claims{"ath": popauthtest.Omit})))
	d.add("P54 ath of another token", d.proved("/orders", func(s rawAPI, k string) string {
		return d.key.Proof("GET", s.base+"/orders", d.token(s, d.key.Bound()))
	}))
	d.add("P55 ath with padding", d.proved("/orders", func(s rawAPI, k string) string {
		x := sha256.Sum256([]byte(k))
		return d.proof(s, k, claims{"ath": base64.URLEncoding.EncodeToString(x[:])})
	}))
	d.add("P56 proof of another key", d.proved("/orders", func(s rawAPI, k string) string {
		return d.thiefKey.Proof("GET", s.base+"/orders", k)
	}))
	hd := func(c claims) func(rawAPI, string) string {
		return func(s rawAPI, k string) string { return d.key.ProofWith(c, "GET", s.base+"/orders", k) }
	}
	d.add("P57 typ JWT", d.proved("/orders", hd(claims{"typ": "JWT"})))
	d.add("P58 typ absent", d.proved("/orders", hd(claims{"typ": popauthtest.Omit})))
	d.add("P59 typ DPoP+JWT", d.proved("/orders", hd(claims{"typ": "DPoP+JWT"})))
	d.add("P60 typ application/dpop+jwt", d.proved("/orders", hd(claims{"typ": "application/dpop+jwt"})))
	jw := func(f func(claims)) func(rawAPI, string) string {
		return func(s rawAPI, k string) string {
			x := claims{}
			for n, v := range d.key.JWK() {
				x[n] = v
			}
			f(x)
			return d.key.ProofWith(claims{"jwk": x}, "GET", s.base+"/orders", k)
		}
	}
	d.add("P61 jwk with private d", d.proved("/orders", jw(func(x claims) { x["d"] = "AAAA" })))
	d.add("P62 jwk with kid, use sig, alg", d.proved("/orders",
		jw(func(x claims) { x["kid"] = "k"; x["use"] = "sig"; x["alg"] = "ES256" })))
	d.add("P63 jwk with use enc", d.proved("/orders", jw(func(x claims) { x["use"] = "enc" })))
	d.add("P64 jwk with key_ops [verify]", d.proved("/orders", jw(func(x claims) { x["key_ops"] = []string{"verify"} })))
	d.add("P65 jwk with key_ops [encrypt]", d.proved("/orders", jw(func(x claims) { x["key_ops"] = []string{"encrypt"} })))
	d.add("P66 jwk with another alg", d.proved("/orders", jw(func(x claims) { x["alg"] = "ES384" })))
	d.add("P67 jwk with ext true (WebCrypto export)", d.proved("/orders", jw(func(x claims) {
		x["ext"], x["key_ops"] = true, []string{"verify"}
	})))
	d.add("P68 jwk absent", d.proved("/orders", hd(claims{"jwk": popauthtest.Omit})))
	d.add("P69 jwk y not on curve", d.proved("/orders", jw(func(x claims) { x["y"] = x["x"] })))
	d.add("P70 jwk of other key in header, signed by this", d.proved("/orders", hd(claims{"jwk": d.thiefKey.JWK()})))
	d.add("P71 alg none", d.proved("/orders", hd(claims{"alg": "none"})))
	d.add("P72 alg HS256", d.proved("/orders", hd(claims{"alg": "HS256"})))
	d.add("P73 alg ES384 with P-256 key", d.proved("/orders", hd(claims{"alg": "ES384"})))
	d.add("P74 RS256 key", single(func(s rawAPI) string {
		k := d.token(s, d.rsa.Bound())
		return s.dpop(k, d.rsa.Proof("GET", s.base+"/orders", k))
	}))
	d.add("P75 EdDSA key", single(func(s rawAPI) string {
		k := d.token(s, d.ed25519.Bound())
		return s.dpop(k, d.ed25519.Proof("GET", s.base+"/orders", k))
	}))
	d.add("P76 RS512 key", single(func(s rawAPI) string {
		k := d.token(s, d.rs512.Bound())
		return s.dpop(k, d.rs512.Proof("GET", s.base+"/orders", k))
	}))
	d.add("P77 nonce in proof, none asked for", d.proved("/orders", with(claims{"nonce": "x"})))
	d.add("P78 crit in proof header", d.proved("/orders", hd(claims{"crit": []string{"x"}, "x": 1})))
	d.add("P79 kid in proof header", d.proved("/orders", hd(claims{"kid": "k"})))
	d.add("P80 DPoP token and Bearer token, two headers", single(func(s rawAPI) string {
		k := d.token(s, d.key.Bound())
		return s.get("/orders", field("Authorization", "DPoP "+k),
			field("Authorization", "Bearer "+d.token(s)), field("DPoP", d.proof(s, k)))
	}))
	d.add("P81 Authorization: DPoPx token", single(func(s rawAPI) string {
		k := d.token(s, d.key.Bound())
		return s.get("/orders", field("Authorization", "DPoPx "+k), field("DPoP", d.proof(s, k)))
	}))
	d.add("P82 expired DPoP token with proof", single(func(s rawAPI) string {
		k := d.token(s, d.key.Bound(), claims{"exp": seconds(-300), "iat": seconds(-600)})
		return s.dpop(k, d.proof(s, k))
	}))
	d.add("P83 DPoP scheme with token in query too", single(func(s rawAPI) string {
		k := d.token(s, d.key.Bound())
		return s.get("/orders?access_token="+k, dpopHeaders(k, d.proof(s, k)))
	}))
	d.add("P84 absolute-form target", single(func(s rawAPI) string {
		k := d.token(s, d.key.Bound())
		return s.get(s.base+"/orders", dpopHeaders(k, d.proof(s, k)))
	}))
	d.add("P85 HEAD with htm HEAD", single(func(s rawAPI) string {
		k := d.token(s, d.key.Bound())
		return strings.Replace(s.get("/orders", dpopHeaders(k, d.key.Proof("HEAD", s.base+"/orders", k))), "GET", "HEAD", 1)
	}))
	d.add("P86 request path percent-encoded (/a%20b), htu the same", single(func(s rawAPI) string {
		k := d.token(s, d.key.Bound())
		return s.get("/a%20b", dpopHeaders(k, d.key.Proof("GET", s.base+"/a%20b", k)))
	}))
	d.add("P87 request path /caf%c3%a9, htu /caf%C3%A9", single(func(s rawAPI) string {
		k := d.token(s, d.key.Bound())
		return s.get("/caf%c3%a9", dpopHeaders(k, d.key.Proof("GET", s.base+"/caf%C3%A9", k)))
	}))
	d.add("P88 path with ; parameter (/orders;v=1), htu the same", single(func(s rawAPI) string {
		k := d.token(s, d.key.Bound())
		return s.get("/orders;v=1", dpopHeaders(k, d.key.Proof("GET", s.base+"/orders;v=1", k)))
	}))
	d.add("P89 root without path: htu https://host:port, request /", single(func(s rawAPI) string {
		k := d.token(s, d.key.Bound())
		return s.get("/", dpopHeaders(k, d.key.Proof("GET", s.base+"/", k, claims{"htu": s.base})))
	}))
}
