package popauth_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// TestProof goes through RFC 9449, section 4.3; the number is that of its item.
func TestProof(t *testing.T) {
	a := newDPoPAPI(t, dpop.Options{})
	other := popauthtest.NewProofKey(t, "")
	p384, ed := popauthtest.NewProofKey(t, "ES384"), popauthtest.NewProofKey(t, "EdDSA")
	now := a.clock.Now().Unix()

	header := func(h fields) string { return a.key.ProofWith(h, "GET", dpopURL, a.token) }
	claims := func(p fields) string { return a.key.Proof("GET", dpopURL, a.token, p) }
	jwk := func(members fields) string {
		own := a.key.JWK()
		maps.Copy(own, members)
		return header(fields{"jwk": own})
	}
	raw := func(h, p string) string { return a.key.Sign([]byte(h), []byte(p)) }
	good := claims(nil)
	parts := strings.Split(good, ".")
	decode := func(s string) string { b, _ := base64.RawURLEncoding.DecodeString(s); return string(b) }
	goodHeader, goodPayload := decode(parts[0]), decode(parts[1])
	hs256 := func() string {
		input := base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(goodHeader, "ES256", "HS256", 1))) + "." + parts[1]
		m := hmac.New(sha256.New, []byte(a.key.Thumbprint()))
		m.Write([]byte(input))
		return input + "." + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
	}

	const (
		ok        = popauth.Reason("")
		malformed = popauth.ErrProofMalformed
		algorithm = popauth.ErrProofAlgorithm
		signature = popauth.ErrProofSignature
		target    = popauth.ErrProofTarget
		token     = popauth.ErrProofToken
	)
	a.accept(t, a.request())
	remembers(t, a.guard, a.request(), true)
	for name, test := range map[string]struct {
		proof  string
		reason popauth.Reason
	}{
		"1 two in one field":               {good + "," + claims(nil), malformed},
		"1 two in one field, with a space": {good + ", " + claims(nil), malformed},
		"2 empty":                          {"", malformed},
		"2 no JWT":                         {"not a proof", malformed},
		"2 two parts":                      {parts[0] + "." + parts[1], malformed},
		"2 four parts":                     {good + ".", malformed},
		"2 five parts":                     {good + ".AA.AA", malformed},
		"2 empty payload":                  {parts[0] + ".." + parts[2], signature},
		"2 quoted":                         {`"` + good + `"`, malformed},
		"2 spaces around":                  {" " + good, malformed},
		"2 line break":                     {parts[0] + "\n." + parts[1] + "." + parts[2], malformed},
		"2 padding":                        {parts[0] + "." + parts[1] + "." + parts[2] + "==", malformed},
		"2 standard base64":                {parts[0] + "." + parts[1] + "." + "++++", malformed},
		"2 signature no base64":            {parts[0] + "." + parts[1] + ".!", malformed},
		"2 header no JSON":                 {raw("x", goodPayload), malformed},
		"2 header array":                   {raw("[]", goodPayload), malformed},
		"2 payload no JSON":                {raw(goodHeader, "x"), malformed},
		"2 payload array":                  {raw(goodHeader, "["+goodPayload+"]"), malformed},
		"2 payload null":                   {raw(goodHeader, "null"), malformed},
		"2 payload twice":                  {raw(goodHeader, goodPayload+goodPayload), malformed},
		"2 invalid UTF-8":                  {raw(goodHeader, strings.Replace(goodPayload, "}", ",\"x\":\"\xff\"}", 1)), malformed},
		"2 deep":                           {raw(goodHeader, strings.Replace(goodPayload, "}", `,"x":`+strings.Repeat("[", 99)+strings.Repeat("]", 99)+"}", 1)), malformed},
		"2 member twice":                   {raw(goodHeader, strings.Replace(goodPayload, "{", `{"htm":"PUT",`, 1)), malformed},
		"2 member folded":                  {raw(goodHeader, strings.Replace(goodPayload, "{", `{"HTM":"PUT",`, 1)), malformed},
		"2 header member folded":           {raw(strings.Replace(goodHeader, "{", `{"Typ":"JWT",`, 1), goodPayload), malformed},
		"2 typ twice":                      {raw(strings.Replace(goodHeader, "{", `{"typ":"JWT",`, 1), goodPayload), malformed},
		"2 crit":                           {header(fields{"crit": []string{"exp"}, "exp": now + 60}), malformed},
		"2 crit empty":                     {header(fields{"crit": []string{}}), malformed},
		"2 b64":                            {header(fields{"b64": false, "crit": []string{"b64"}}), malformed},
		"2 zip":                            {header(fields{"zip": "DEF"}), malformed},
		"2 too large":                      {claims(fields{"x": strings.Repeat("x", 8<<10)}), malformed},
		"3 no jti":                         {claims(fields{"jti": popauthtest.Omit}), malformed},
		"3 jti null":                       {claims(fields{"jti": nil}), malformed},
		"3 jti number":                     {claims(fields{"jti": 1}), malformed},
		"3 jti empty":                      {claims(fields{"jti": ""}), malformed},
		"3 jti of 256 bytes":               {claims(fields{"jti": strings.Repeat("x", 256)}), ok},
		"3 jti of 257 bytes":               {claims(fields{"jti": strings.Repeat("x", 257)}), malformed},
		"3 no htm":                         {claims(fields{"htm": popauthtest.Omit}), malformed},
		"3 htm number":                     {claims(fields{"htm": 1}), malformed},
		"3 htm empty":                      {claims(fields{"htm": ""}), malformed},
		"3 no htu":                         {claims(fields{"htu": popauthtest.Omit}), malformed},
		"3 htu array":                      {claims(fields{"htu": []string{dpopURL}}), malformed},
		"3 htu empty":                      {claims(fields{"htu": ""}), malformed},
		"3 no iat":                         {claims(fields{"iat": popauthtest.Omit}), malformed},
		"3 iat string":                     {claims(fields{"iat": "1800000000"}), malformed},
		"3 iat null":                       {claims(fields{"iat": nil}), malformed},
		"3 iat true":                       {claims(fields{"iat": true}), malformed},
		"3 iat negative":                   {claims(fields{"iat": -1}), malformed},
		"3 iat 1e20":                       {claims(fields{"iat": 1e20}), malformed},
		"3 iat with a fraction":            {claims(fields{"iat": float64(now) + 0.5}), ok},
		"3 no ath":                         {claims(fields{"ath": popauthtest.Omit}), malformed},
		"3 ath number":                     {claims(fields{"ath": 1}), malformed},
		"3 ath empty":                      {claims(fields{"ath": ""}), malformed},
		"3 ath padded":                     {claims(fields{"ath": ath(a.token) + "="}), malformed},
		"3 ath line break":                 {claims(fields{"ath": ath(a.token) + "\n"}), malformed},
		"3 ath short":                      {claims(fields{"ath": ath(a.token)[:42]}), malformed},
		"3 nonce number":                   {claims(fields{"nonce": 1}), malformed},
		"3 nonce null":                     {claims(fields{"nonce": nil}), malformed},
		"3 nonce that nobody asked for":    {claims(fields{"nonce": "eyJ7S_zG.eyJH0-Z.HX4w-7v"}), ok},
		"4 no typ":                         {header(fields{"typ": popauthtest.Omit}), malformed},
		"4 typ JWT":                        {header(fields{"typ": "JWT"}), malformed},
		"4 typ secevent+jwt":               {header(fields{"typ": "secevent+jwt"}), malformed},
		"4 typ at+jwt":                     {header(fields{"typ": "at+jwt"}), malformed},
		"4 typ longer":                     {header(fields{"typ": "dpop+jwt+wrongyousee"}), malformed},
		"4 typ in capitals":                {header(fields{"typ": "DPoP+JWT"}), ok}, // RFC 7515, section 4.1.9
		"4 typ with application":           {header(fields{"typ": "application/dpop+jwt"}), ok},
		"4 typ with Application":           {header(fields{"typ": "Application/DPoP+JWT"}), ok},
		"4 typ of another tree":            {header(fields{"typ": "text/dpop+jwt"}), malformed},
		"4 typ with application twice":     {header(fields{"typ": "application/application/dpop+jwt"}), malformed},
		"4 typ application alone":          {header(fields{"typ": "application/"}), malformed},
		"4 typ with a parameter":           {header(fields{"typ": "dpop+jwt;x=y"}), malformed},
		"4 typ true":                       {header(fields{"typ": true}), malformed},
		"4 typ number":                     {header(fields{"typ": 5}), malformed},
		"5 no alg":                         {header(fields{"alg": popauthtest.Omit}), algorithm},
		"5 alg empty":                      {header(fields{"alg": ""}), algorithm},
		"5 alg none":                       {header(fields{"alg": "none"}), algorithm},
		"5 alg none, no signature":         {strings.TrimRight(header(fields{"alg": "none"}), "-_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"), algorithm},
		"5 alg nOnE":                       {header(fields{"alg": "nOnE"}), algorithm},
		"5 alg HS256":                      {hs256(), algorithm},
		"5 alg number":                     {header(fields{"alg": 256}), malformed},
		"5 alg true":                       {header(fields{"alg": true}), malformed},
		"5 alg unknown":                    {header(fields{"alg": "ES256K"}), algorithm},
		"5 alg in lower case":              {header(fields{"alg": "es256"}), algorithm},
		"5 alg RSA-OAEP":                   {header(fields{"alg": "RSA-OAEP", "enc": "A128GCM"}), malformed},
		"5 alg not in the set":             {header(fields{"alg": "ES512"}), algorithm},
		"5 alg of another kind of key":     {header(fields{"alg": "RS256"}), algorithm},
		"5 alg of another curve":           {p384.ProofWith(fields{"alg": "ES256"}, "GET", dpopURL, a.token), algorithm},
		"5 alg EdDSA with an EC key":       {ed.ProofWith(fields{"alg": "EdDSA", "jwk": a.key.JWK()}, "GET", dpopURL, a.token), algorithm},
		"6 signature by another key":       {other.ProofWith(fields{"jwk": a.key.JWK()}, "GET", dpopURL, a.token), signature},
		"6 signature of another proof":     {parts[0] + "." + parts[1] + "." + strings.Split(claims(nil), ".")[2], signature},
		"6 payload changed":                {parts[0] + "." + strings.Split(claims(nil), ".")[1] + "." + parts[2], signature},
		"6 header changed":                 {strings.Split(header(fields{"x": 1}), ".")[0] + "." + parts[1] + "." + parts[2], signature},
		"6 no signature":                   {parts[0] + "." + parts[1] + ".", signature},
		"6 signature of zeros":             {parts[0] + "." + parts[1] + "." + strings.Repeat("A", 86), signature},
		"7 no jwk":                         {header(fields{"jwk": popauthtest.Omit}), malformed},
		"7 jwk null":                       {header(fields{"jwk": nil}), malformed},
		"7 jwk string":                     {header(fields{"jwk": "x"}), malformed},
		"7 jwk number":                     {header(fields{"jwk": 1}), malformed},
		"7 jwk true":                       {header(fields{"jwk": true}), malformed},
		"7 jwk array":                      {header(fields{"jwk": []any{a.key.JWK()}}), malformed},
		"7 jwk empty":                      {header(fields{"jwk": fields{}}), malformed},
		"7 jwk oct":                        {header(fields{"jwk": fields{"kty": "oct", "k": "AAAA"}}), malformed},
		"7 jwk private":                    {jwk(fields{"d": "AAAA"}), malformed},
		"7 jwk private, RSA":               {jwk(fields{"p": "AAAA", "q": "AAAA"}), malformed},
		"7 jwk private, null":              {jwk(fields{"d": nil}), malformed},
		"7 jwk off the curve":              {jwk(fields{"y": a.key.JWK()["x"]}), malformed},
		"7 jwk malformed member":           {jwk(fields{"x": 1}), malformed},
		"7 jwk twice":                      {raw(strings.Replace(goodHeader, "{", `{"jwk":{},`, 1), goodPayload), malformed},
		"7 kid instead of jwk":             {header(fields{"jwk": popauthtest.Omit, "kid": "1", "jku": "https://evil.example/keys"}), malformed},
		"8 htm PUT":                        {claims(fields{"htm": "PUT"}), target},
		"8 htm in lower case":              {claims(fields{"htm": "get"}), target},
		"8 htm with a space":               {claims(fields{"htm": "GET "}), target},
		"9 htu not a URL":                  {claims(fields{"htu": "not a url"}), target},
		"9 htu other path":                 {claims(fields{"htu": dpopURL + "/1"}), target},
		"9 htu path in another case":       {claims(fields{"htu": strings.Replace(dpopURL, "orders", "Orders", 1)}), target},
		"9 htu other host":                 {claims(fields{"htu": "https://evil.example.com/orders"}), target},
		"9 htu other port":                 {claims(fields{"htu": "https://api.example.com:8443/orders"}), target},
		"9 htu other scheme":               {claims(fields{"htu": "http://api.example.com/orders"}), target},
		"9 htu without authority":          {claims(fields{"htu": "/orders"}), target},
		"9 htu with query":                 {claims(fields{"htu": dpopURL + "?a=1"}), ok},
		"9 htu with fragment":              {claims(fields{"htu": dpopURL + "#a"}), ok},
		"9 htu with the default port":      {claims(fields{"htu": "https://api.example.com:443/orders"}), ok},
		"9 htu in capitals":                {claims(fields{"htu": "HTTPS://API.EXAMPLE.COM/orders"}), ok},
		"12 ath of another token":          {claims(fields{"ath": ath(a.token + "x")}), token},
		"12 ath in another case":           {claims(fields{"ath": strings.ToUpper(ath(a.token)[:42]) + ath(a.token)[42:]}), token},
		"12 another key":                   {other.Proof("GET", dpopURL, a.token, fields{"iat": now}), popauth.ErrProofKey},
		"more: header":                     {header(fields{"x": 1, "kid": "1", "x5c": []string{"x"}}), ok},
		"more: claims":                     {claims(fields{"x": []int{1}, "y": fields{"z": nil}}), ok},
		"more: both":                       {a.key.ProofWith(fields{"x": 1}, "GET", dpopURL, a.token, fields{"x": 1}), ok},
		"more: nbf and exp that fit":       {claims(fields{"nbf": now, "exp": now + 300}), ok},
		"more: iss, aud that don't matter": {claims(fields{"iss": "x", "aud": "y"}), ok},
	} {
		t.Run(name, func(t *testing.T) {
			for _, g := range []*popauth.Guard{popauth.Forgetful(a.guard), a.guard} { // the second one has seen the token
				a.store.until = map[string]time.Time{}
				a.handler = g.Authenticate(a.spy)
				if test.reason == ok {
					a.accept(t, a.with(test.proof))
				} else {
					w := a.refuseProof(t, a.with(test.proof), test.reason)
					if w.Body.Len() != 0 {
						t.Errorf("body: %q", w.Body)
					}
				}
			}
		})
	}
}

func ath(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// A claim that is there, but of another type, is not called missing.
func TestProofClaimsAreExplained(t *testing.T) {
	const missing = "a required claim is missing or empty"
	a := newDPoPAPI(t, dpop.Options{})
	for _, tt := range []struct {
		name   string
		claims fields
		want   bool // that it is missing
	}{
		{name: "no iat", claims: fields{"iat": popauthtest.Omit}, want: true},
		{name: "an empty jti", claims: fields{"jti": ""}, want: true},
		{name: "an iat that is a string", claims: fields{"iat": "1800000000"}},
		{name: "a jti that is a number", claims: fields{"jti": 1}},
		{name: "an htu that is a list", claims: fields{"htu": []string{dpopURL}}},
	} {
		a.refuseProof(t, a.request(tt.claims), popauth.ErrProofMalformed)
		if got := strings.Contains(a.last.Error(), missing); got != tt.want {
			t.Errorf("%s: got %v, says %q: %t, want %t", tt.name, a.last, missing, got, tt.want)
		}
	}
}

func TestProofHeaderCount(t *testing.T) {
	a := newDPoPAPI(t, dpop.Options{})
	r := a.request()
	r.Header.Del("DPoP")
	a.refuseProof(t, r, popauth.ErrProofMissing)
	r = a.request()
	r.Header.Add("DPoP", r.Header.Get("DPoP"))
	a.refuseProof(t, r, popauth.ErrProofMalformed)
	r.Header["Dpop"] = []string{r.Header.Get("DPoP"), ""}
	a.refuseProof(t, r, popauth.ErrProofMalformed)
}

// The limit is on the proof. It neither counts the token nor turns a proof that is too long into none.
func TestProofSize(t *testing.T) {
	a := newDPoPAPI(t, dpop.Options{})
	a.token = a.issuer.Token(a.key.Bound(), fields{"x": strings.Repeat("x", 9<<10)})
	a.accept(t, a.request())
	short := len(a.request().Header.Get("DPoP"))
	// Four characters of base64 for three more, as near to 8 KiB as that comes.
	fits := strings.Repeat("x", (8<<10-short)/4*3-9)
	a.accept(t, a.request(fields{"x": fits}))
	a.refuseProof(t, a.request(fields{"x": fits + strings.Repeat("x", 15)}), popauth.ErrProofMalformed)
}

func TestProofRSASize(t *testing.T) {
	a := newDPoPAPI(t, dpop.Options{})
	key := popauthtest.NewProofKey(t, "RS256")
	key.Now = a.clock.Now
	small := key.JWK()
	small["n"] = "3" + strings.Repeat("A", 169) + "Q" // 1024 bits
	a.refuseProof(t, a.with(key.ProofWith(fields{"jwk": small}, "GET", dpopURL, a.token)), popauth.ErrProofAlgorithm)
}

// Both edges are inside, with whole seconds and the clock between two.
func TestProofTime(t *testing.T) {
	for name, d := range map[string]struct {
		dpop        dpop.Options
		age, leeway time.Duration
	}{
		"defaults": {dpop.Options{}, 60 * time.Second, 10 * time.Second},
		"own":      {dpop.Options{MaxAge: 100 * time.Second, Leeway: 20 * time.Second}, 100 * time.Second, 20 * time.Second},
		"strict":   {dpop.Options{MaxAge: 5 * time.Second, Leeway: time.Nanosecond}, 5 * time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			a := newDPoPAPI(t, d.dpop)
			for offset, fits := range map[time.Duration]bool{
				-time.Hour:                          false,
				-d.age - d.leeway - time.Second:     false,
				-d.age - d.leeway:                   true,
				-d.age - d.leeway + time.Second:     true,
				-d.age:                              true,
				0:                                   true,
				d.leeway:                            true,
				d.leeway - time.Second:              true,
				d.leeway + time.Second:              false,
				d.leeway + 8*time.Second:            false,
				time.Hour:                           false,
				100 * 365 * 24 * time.Hour:          false,
				-a.clock.Now().Sub(time.Unix(0, 0)): false,
			} {
				r := a.request(fields{"iat": a.clock.Now().Add(offset).Unix()})
				if fits {
					a.accept(t, r)
				} else {
					a.refuseProof(t, r, popauth.ErrProofTime)
				}
			}
			a.clock.Advance(500 * time.Millisecond)
			a.refuseProof(t, a.request(fields{"iat": a.clock.Now().Add(-d.age - d.leeway).Unix()}), popauth.ErrProofTime)
		})
	}
}
