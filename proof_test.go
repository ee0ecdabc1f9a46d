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
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// TestProof goes through RFC 9449, section 4.3; the number is that of its item.
func TestProof(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	other := popauthtest.NewProofKey(t, "")
	p384, ed := popauthtest.NewProofKey(t, "ES384"), popauthtest.NewProofKey(t, "EdDSA")
	now := a.Clock.Now().Unix()

	header := func(h lab.Fields) string { return a.Key.ProofWith(h, "GET", lab.DPoPURL, a.Token) }
	claims := func(p lab.Fields) string { return a.Key.Proof("GET", lab.DPoPURL, a.Token, p) }
	jwk := func(members lab.Fields) string {
		own := a.Key.JWK()
		maps.Copy(own, members)
		return header(lab.Fields{"jwk": own})
	}
	raw := func(h, p string) string { return a.Key.Sign([]byte(h), []byte(p)) }
	good := claims(nil)
	parts := strings.Split(good, ".")
	decode := func(s string) string { b, _ := base64.RawURLEncoding.DecodeString(s); return string(b) }
	goodHeader, goodPayload := decode(parts[0]), decode(parts[1])
	hs256 := func() string {
		input := base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(goodHeader, "ES256", "HS256", 1))) + "." + parts[1]
		m := hmac.New(sha256.New, []byte(a.Key.Thumbprint()))
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
	a.Accept(t, a.Request())
	lab.Remembers(t, a.Guard, a.Request(), true)
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
		"2 deep": {raw(goodHeader,
			strings.Replace(goodPayload, "}", `,"x":`+strings.Repeat("[", 99)+strings.Repeat("]", 99)+"}", 1)), malformed},
		"2 member twice":                {raw(goodHeader, strings.Replace(goodPayload, "{", `{"htm":"PUT",`, 1)), malformed},
		"2 member folded":               {raw(goodHeader, strings.Replace(goodPayload, "{", `{"HTM":"PUT",`, 1)), malformed},
		"2 header member folded":        {raw(strings.Replace(goodHeader, "{", `{"Typ":"JWT",`, 1), goodPayload), malformed},
		"2 typ twice":                   {raw(strings.Replace(goodHeader, "{", `{"typ":"JWT",`, 1), goodPayload), malformed},
		"2 crit":                        {header(lab.Fields{"crit": []string{"exp"}, "exp": now + 60}), malformed},
		"2 crit empty":                  {header(lab.Fields{"crit": []string{}}), malformed},
		"2 b64":                         {header(lab.Fields{"b64": false, "crit": []string{"b64"}}), malformed},
		"2 zip":                         {header(lab.Fields{"zip": "DEF"}), malformed},
		"2 too large":                   {claims(lab.Fields{"x": strings.Repeat("x", 8<<10)}), malformed},
		"3 no jti":                      {claims(lab.Fields{"jti": popauthtest.Omit}), malformed},
		"3 jti null":                    {claims(lab.Fields{"jti": nil}), malformed},
		"3 jti number":                  {claims(lab.Fields{"jti": 1}), malformed},
		"3 jti empty":                   {claims(lab.Fields{"jti": ""}), malformed},
		"3 jti of 256 bytes":            {claims(lab.Fields{"jti": strings.Repeat("x", 256)}), ok},
		"3 jti of 257 bytes":            {claims(lab.Fields{"jti": strings.Repeat("x", 257)}), malformed},
		"3 no htm":                      {claims(lab.Fields{"htm": popauthtest.Omit}), malformed},
		"3 htm number":                  {claims(lab.Fields{"htm": 1}), malformed},
		"3 htm empty":                   {claims(lab.Fields{"htm": ""}), malformed},
		"3 no htu":                      {claims(lab.Fields{"htu": popauthtest.Omit}), malformed},
		"3 htu array":                   {claims(lab.Fields{"htu": []string{lab.DPoPURL}}), malformed},
		"3 htu empty":                   {claims(lab.Fields{"htu": ""}), malformed},
		"3 no iat":                      {claims(lab.Fields{"iat": popauthtest.Omit}), malformed},
		"3 iat string":                  {claims(lab.Fields{"iat": "1800000000"}), malformed},
		"3 iat null":                    {claims(lab.Fields{"iat": nil}), malformed},
		"3 iat true":                    {claims(lab.Fields{"iat": true}), malformed},
		"3 iat negative":                {claims(lab.Fields{"iat": -1}), malformed},
		"3 iat 1e20":                    {claims(lab.Fields{"iat": 1e20}), malformed},
		"3 iat with a fraction":         {claims(lab.Fields{"iat": float64(now) + 0.5}), ok},
		"3 no ath":                      {claims(lab.Fields{"ath": popauthtest.Omit}), malformed},
		"3 ath number":                  {claims(lab.Fields{"ath": 1}), malformed},
		"3 ath empty":                   {claims(lab.Fields{"ath": ""}), malformed},
		"3 ath padded":                  {claims(lab.Fields{"ath": lab.Ath(a.Token) + "="}), malformed},
		"3 ath line break":              {claims(lab.Fields{"ath": lab.Ath(a.Token) + "\n"}), malformed},
		"3 ath short":                   {claims(lab.Fields{"ath": lab.Ath(a.Token)[:42]}), malformed},
		"3 nonce number":                {claims(lab.Fields{"nonce": 1}), malformed},
		"3 nonce null":                  {claims(lab.Fields{"nonce": nil}), malformed},
		"3 nonce that nobody asked for": {claims(lab.Fields{"nonce": "eyJ7S_zG.eyJH0-Z.HX4w-7v"}), ok},
		"4 no typ":                      {header(lab.Fields{"typ": popauthtest.Omit}), malformed},
		"4 typ JWT":                     {header(lab.Fields{"typ": "JWT"}), malformed},
		"4 typ secevent+jwt":            {header(lab.Fields{"typ": "secevent+jwt"}), malformed},
		"4 typ at+jwt":                  {header(lab.Fields{"typ": "at+jwt"}), malformed},
		"4 typ longer":                  {header(lab.Fields{"typ": "dpop+jwt+wrongyousee"}), malformed},
		"4 typ in capitals":             {header(lab.Fields{"typ": "DPoP+JWT"}), ok}, // RFC 7515, section 4.1.9
		"4 typ with application":        {header(lab.Fields{"typ": "application/dpop+jwt"}), ok},
		"4 typ with Application":        {header(lab.Fields{"typ": "Application/DPoP+JWT"}), ok},
		"4 typ of another tree":         {header(lab.Fields{"typ": "text/dpop+jwt"}), malformed},
		"4 typ with application twice":  {header(lab.Fields{"typ": "application/application/dpop+jwt"}), malformed},
		"4 typ application alone":       {header(lab.Fields{"typ": "application/"}), malformed},
		"4 typ with a parameter":        {header(lab.Fields{"typ": "dpop+jwt;x=y"}), malformed},
		"4 typ true":                    {header(lab.Fields{"typ": true}), malformed},
		"4 typ number":                  {header(lab.Fields{"typ": 5}), malformed},
		"5 no alg":                      {header(lab.Fields{"alg": popauthtest.Omit}), algorithm},
		"5 alg empty":                   {header(lab.Fields{"alg": ""}), algorithm},
		"5 alg none":                    {header(lab.Fields{"alg": "none"}), algorithm},
		"5 alg none, no signature": {strings.TrimRight(header(lab.Fields{"alg": "none"}),
			"-_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"), algorithm},
		"5 alg nOnE":                   {header(lab.Fields{"alg": "nOnE"}), algorithm},
		"5 alg HS256":                  {hs256(), algorithm},
		"5 alg number":                 {header(lab.Fields{"alg": 256}), malformed},
		"5 alg true":                   {header(lab.Fields{"alg": true}), malformed},
		"5 alg unknown":                {header(lab.Fields{"alg": "ES256K"}), algorithm},
		"5 alg in lower case":          {header(lab.Fields{"alg": "es256"}), algorithm},
		"5 alg RSA-OAEP":               {header(lab.Fields{"alg": "RSA-OAEP", "enc": "A128GCM"}), malformed},
		"5 alg not in the set":         {header(lab.Fields{"alg": "ES512"}), algorithm},
		"5 alg of another kind of key": {header(lab.Fields{"alg": "RS256"}), algorithm},
		"5 alg of another curve":       {p384.ProofWith(lab.Fields{"alg": "ES256"}, "GET", lab.DPoPURL, a.Token), algorithm},
		"5 alg EdDSA with an EC key": {ed.ProofWith(lab.Fields{"alg": "EdDSA", "jwk": a.Key.JWK()}, "GET", lab.DPoPURL, a.Token),
			algorithm},
		"6 signature by another key":   {other.ProofWith(lab.Fields{"jwk": a.Key.JWK()}, "GET", lab.DPoPURL, a.Token), signature},
		"6 signature of another proof": {parts[0] + "." + parts[1] + "." + strings.Split(claims(nil), ".")[2], signature},
		"6 payload changed":            {parts[0] + "." + strings.Split(claims(nil), ".")[1] + "." + parts[2], signature},
		"6 header changed": {strings.Split(header(lab.Fields{"x": 1}), ".")[0] + "." + parts[1] + "." + parts[2],
			signature},
		"6 no signature":         {parts[0] + "." + parts[1] + ".", signature},
		"6 signature of zeros":   {parts[0] + "." + parts[1] + "." + strings.Repeat("A", 86), signature},
		"7 no jwk":               {header(lab.Fields{"jwk": popauthtest.Omit}), malformed},
		"7 jwk null":             {header(lab.Fields{"jwk": nil}), malformed},
		"7 jwk string":           {header(lab.Fields{"jwk": "x"}), malformed},
		"7 jwk number":           {header(lab.Fields{"jwk": 1}), malformed},
		"7 jwk true":             {header(lab.Fields{"jwk": true}), malformed},
		"7 jwk array":            {header(lab.Fields{"jwk": []any{a.Key.JWK()}}), malformed},
		"7 jwk empty":            {header(lab.Fields{"jwk": lab.Fields{}}), malformed},
		"7 jwk oct":              {header(lab.Fields{"jwk": lab.Fields{"kty": "oct", "k": "AAAA"}}), malformed},
		"7 jwk private":          {jwk(lab.Fields{"d": "AAAA"}), malformed},
		"7 jwk private, RSA":     {jwk(lab.Fields{"p": "AAAA", "q": "AAAA"}), malformed},
		"7 jwk private, null":    {jwk(lab.Fields{"d": nil}), malformed},
		"7 jwk off the curve":    {jwk(lab.Fields{"y": a.Key.JWK()["x"]}), malformed},
		"7 jwk malformed member": {jwk(lab.Fields{"x": 1}), malformed},
		"7 jwk twice":            {raw(strings.Replace(goodHeader, "{", `{"jwk":{},`, 1), goodPayload), malformed},
		"7 kid instead of jwk": {header(lab.Fields{"jwk": popauthtest.Omit, "kid": "1", "jku": "https://evil.example/keys"}),
			malformed},
		"8 htm PUT":                   {claims(lab.Fields{"htm": "PUT"}), target},
		"8 htm in lower case":         {claims(lab.Fields{"htm": "get"}), target},
		"8 htm with a space":          {claims(lab.Fields{"htm": "GET "}), target},
		"9 htu not a URL":             {claims(lab.Fields{"htu": "not a url"}), target},
		"9 htu other path":            {claims(lab.Fields{"htu": lab.DPoPURL + "/1"}), target},
		"9 htu path in another case":  {claims(lab.Fields{"htu": strings.Replace(lab.DPoPURL, "orders", "Orders", 1)}), target},
		"9 htu other host":            {claims(lab.Fields{"htu": "https://evil.example.com/orders"}), target},
		"9 htu other port":            {claims(lab.Fields{"htu": "https://api.example.com:8443/orders"}), target},
		"9 htu other scheme":          {claims(lab.Fields{"htu": "http://api.example.com/orders"}), target},
		"9 htu without authority":     {claims(lab.Fields{"htu": "/orders"}), target},
		"9 htu with query":            {claims(lab.Fields{"htu": lab.DPoPURL + "?a=1"}), ok},
		"9 htu with fragment":         {claims(lab.Fields{"htu": lab.DPoPURL + "#a"}), ok},
		"9 htu with the default port": {claims(lab.Fields{"htu": "https://api.example.com:443/orders"}), ok},
		"9 htu in capitals":           {claims(lab.Fields{"htu": "HTTPS://API.EXAMPLE.COM/orders"}), ok},
		"12 ath of another token":     {claims(lab.Fields{"ath": lab.Ath(a.Token + "x")}), token},
		"12 ath in another case": {claims(lab.Fields{"ath": strings.ToUpper(lab.Ath(a.Token)[:42]) + lab.Ath(a.Token)[42:]}),
			token},
		"12 another key":                   {other.Proof("GET", lab.DPoPURL, a.Token, lab.Fields{"iat": now}), popauth.ErrProofKey},
		"more: header":                     {header(lab.Fields{"x": 1, "kid": "1", "x5c": []string{"x"}}), ok},
		"more: claims":                     {claims(lab.Fields{"x": []int{1}, "y": lab.Fields{"z": nil}}), ok},
		"more: both":                       {a.Key.ProofWith(lab.Fields{"x": 1}, "GET", lab.DPoPURL, a.Token, lab.Fields{"x": 1}), ok},
		"more: nbf and exp that fit":       {claims(lab.Fields{"nbf": now, "exp": now + 300}), ok},
		"more: iss, aud that don't matter": {claims(lab.Fields{"iss": "x", "aud": "y"}), ok},
	} {
		t.Run(name, func(t *testing.T) {
			for _, g := range []*popauth.Guard{popauth.Forgetful(a.Guard), a.Guard} { // the second one has seen the token
				a.Store.Until = map[string]time.Time{}
				a.Handler = g.Authenticate(a.Spy)
				if test.reason == ok {
					a.Accept(t, a.With(test.proof))
				} else {
					w := a.RefuseProof(t, a.With(test.proof), test.reason)
					if w.Body.Len() != 0 {
						t.Errorf("body: %q", w.Body)
					}
				}
			}
		})
	}
}

// A claim that is there, but of another type, is not called missing.
func TestProofClaimsAreExplained(t *testing.T) {
	const missing = "a required claim is missing or empty"
	a := lab.NewDPoPAPI(t, dpop.Options{})
	for _, tt := range []struct {
		name   string
		claims lab.Fields
		want   bool // that it is missing
	}{
		{name: "no iat", claims: lab.Fields{"iat": popauthtest.Omit}, want: true},
		{name: "an empty jti", claims: lab.Fields{"jti": ""}, want: true},
		{name: "an iat that is a string", claims: lab.Fields{"iat": "1800000000"}},
		{name: "a jti that is a number", claims: lab.Fields{"jti": 1}},
		{name: "an htu that is a list", claims: lab.Fields{"htu": []string{lab.DPoPURL}}},
	} {
		a.RefuseProof(t, a.Request(tt.claims), popauth.ErrProofMalformed)
		if got := strings.Contains(a.Last.Error(), missing); got != tt.want {
			t.Errorf("%s: got %v, says %q: %t, want %t", tt.name, a.Last, missing, got, tt.want)
		}
	}
}

func TestProofHeaderCount(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	r := a.Request()
	r.Header.Del("DPoP")
	a.RefuseProof(t, r, popauth.ErrProofMissing)
	r = a.Request()
	r.Header.Add("DPoP", r.Header.Get("DPoP"))
	a.RefuseProof(t, r, popauth.ErrProofMalformed)
	r.Header["Dpop"] = []string{r.Header.Get("DPoP"), ""}
	a.RefuseProof(t, r, popauth.ErrProofMalformed)
}

// The limit is on the proof. It neither counts the token nor turns a proof that is too long into none.
func TestProofSize(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	a.Token = a.Issuer.Token(a.Key.Bound(), lab.Fields{"x": strings.Repeat("x", 9<<10)})
	a.Accept(t, a.Request())
	short := len(a.Request().Header.Get("DPoP"))
	// Four characters of base64 for three more, as near to 8 KiB as that comes.
	fits := strings.Repeat("x", (8<<10-short)/4*3-9)
	a.Accept(t, a.Request(lab.Fields{"x": fits}))
	a.RefuseProof(t, a.Request(lab.Fields{"x": fits + strings.Repeat("x", 15)}), popauth.ErrProofMalformed)
}

func TestProofRSASize(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	key := popauthtest.NewProofKey(t, "RS256")
	key.Now = a.Clock.Now
	small := key.JWK()
	small["n"] = "3" + strings.Repeat("A", 169) + "Q" // 1024 bits
	a.RefuseProof(t, a.With(key.ProofWith(lab.Fields{"jwk": small}, "GET", lab.DPoPURL, a.Token)), popauth.ErrProofAlgorithm)
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
			a := lab.NewDPoPAPI(t, d.dpop)
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
				-a.Clock.Now().Sub(time.Unix(0, 0)): false,
			} {
				r := a.Request(lab.Fields{"iat": a.Clock.Now().Add(offset).Unix()})
				if fits {
					a.Accept(t, r)
				} else {
					a.RefuseProof(t, r, popauth.ErrProofTime)
				}
			}
			a.Clock.Advance(500 * time.Millisecond)
			a.RefuseProof(t, a.Request(lab.Fields{"iat": a.Clock.Now().Add(-d.age - d.leeway).Unix()}), popauth.ErrProofTime)
		})
	}
}
