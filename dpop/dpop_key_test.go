package dpop_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

func TestProveKey(t *testing.T) {
	x := lab.NewTokenRequests(t, dpop.Options{})
	now := x.Clock.Now().Unix()
	good := x.Proof()
	signature := x.Key.Signature("another text")
	for name, test := range map[string]struct {
		proofs []string
		reason popauth.Reason
	}{
		"good":               {[]string{x.Proof()}, ""},
		"query and fragment": {[]string{x.Proof(lab.Fields{"htu": lab.TokenURL + "?a#b"})}, ""},
		"ath of no token":    {[]string{x.Key.Proof("POST", lab.TokenURL, "some token")}, ""},
		"ath malformed":      {[]string{x.Proof(lab.Fields{"ath": "x"})}, popauth.ErrProofMalformed},
		"none":               {nil, popauth.ErrProofMissing},
		"empty":              {[]string{""}, popauth.ErrProofMalformed},
		"two":                {[]string{x.Proof(), x.Proof()}, popauth.ErrProofMalformed},
		"no jti":             {[]string{x.Proof(lab.Fields{"jti": popauthtest.Omit})}, popauth.ErrProofMalformed},
		"a JWT of another typ": {[]string{x.Key.ProofWith(lab.Fields{"typ": "at+jwt"}, "POST", lab.TokenURL, "")},
			popauth.ErrProofMalformed},
		"alg none": {[]string{x.Key.ProofWith(lab.Fields{"alg": "none"}, "POST", lab.TokenURL, "")}, popauth.ErrProofAlgorithm},
		"another key's": {[]string{x.Key.ProofWith(lab.Fields{"jwk": popauthtest.NewProofKey(t, "").JWK()}, "POST", lab.TokenURL,
			"")}, popauth.ErrProofSignature},
		"another signature": {[]string{good[:strings.LastIndexByte(good, '.')+1] + signature}, popauth.ErrProofSignature},
		"another method":    {[]string{x.Key.Proof("GET", lab.TokenURL, "")}, popauth.ErrProofTarget},
		"another path":      {[]string{x.Key.Proof("POST", lab.TokenURL+"/x", "")}, popauth.ErrProofTarget},
		"another server":    {[]string{x.Key.Proof("POST", "https://evil.example/token", "")}, popauth.ErrProofTarget},
		"oldest":            {[]string{x.Proof(lab.Fields{"iat": now - 70})}, ""},
		"too old":           {[]string{x.Proof(lab.Fields{"iat": now - 71})}, popauth.ErrProofTime},
		"furthest":          {[]string{x.Proof(lab.Fields{"iat": now + 10})}, ""},
		"too far ahead":     {[]string{x.Proof(lab.Fields{"iat": now + 11})}, popauth.ErrProofTime},
	} {
		t.Run(name, func(t *testing.T) {
			before := x.Store.Len()
			jkt, _, err := x.Prove(test.proofs...)
			if test.reason == "" {
				if err != nil || jkt != x.Key.Thumbprint() || x.Store.Len() != before+1 {
					t.Errorf("got %q, %v, want %q", jkt, err, x.Key.Thumbprint())
				}
				return
			}
			if jkt != "" {
				t.Error("VULNERABLE: a key was accepted")
			}
			if !errors.Is(err, test.reason) {
				t.Errorf("got %v, want %v", err, test.reason)
			}
			if x.Store.Len() != before {
				t.Error("a refused proof was used up")
			}
		})
	}
}

func TestProveKeyReplay(t *testing.T) {
	x := lab.NewTokenRequests(t, dpop.Options{})
	proof := x.Proof()
	if _, _, err := x.Prove(proof); err != nil {
		t.Fatal(err)
	}
	if jkt, _, err := x.Prove(proof); !errors.Is(err, popauth.ErrProofReplayed) || jkt != "" {
		t.Errorf("VULNERABLE: got %q, %v for a proof used before", jkt, err)
	}
	x.Store.Err = errors.New("down")
	if jkt, _, err := x.Prove(x.Proof()); !errors.Is(err, popauth.ErrUnavailable) || jkt != "" {
		t.Errorf("got %q, %v without a store, want ErrUnavailable", jkt, err)
	}
}

func TestProveKeyNonce(t *testing.T) {
	x := lab.NewTokenRequests(t, dpop.Options{Nonces: dpop.StatelessNonces{Secrets: [][]byte{make([]byte, 32)}}})
	_, answer, err := x.Prove(x.Proof())
	nonce := answer.Get("DPoP-Nonce")
	if !errors.Is(err, popauth.ErrNonceRequired) || nonce == "" || answer.Get("Cache-Control") != "no-store" {
		t.Fatalf("got %v, headers %v, want a nonce asked for", err, answer)
	}
	jkt, answer, err := x.Prove(x.Proof(lab.Fields{"nonce": nonce}))
	if err != nil || jkt != x.Key.Thumbprint() || answer.Get("DPoP-Nonce") != "" {
		t.Errorf("got %q, %v, headers %v with the nonce", jkt, err, answer)
	}
	x.Clock.Advance(3 * time.Minute)
	if _, answer, err = x.Prove(x.Proof(lab.Fields{"nonce": nonce})); err != nil || answer.Get("DPoP-Nonce") == "" {
		t.Errorf("got %v, headers %v, want the next nonce with a success", err, answer)
	}
}

// TestCompleteDPoP holds that ProveKey and Confirm never go by settings that NewDPoP has refused, nor by none.
func TestCompleteDPoP(t *testing.T) {
	refused, err := dpop.New(dpop.Options{MaxAge: time.Hour, Algorithms: []string{"HS256"}})
	for _, field := range []string{"MaxAge", "Algorithms", "BaseURL"} {
		if refused != nil || err == nil || !strings.Contains(err.Error(), "dpop: Options."+field+": ") {
			t.Errorf("got %v, %v, want %s named", refused, err, field)
		}
	}
	key := popauthtest.NewProofKey(t, "")
	for name, d := range map[string]*dpop.Confirmer{"zero": {}, "nil": nil, "refused": refused} {
		r := key.Request("POST", lab.TokenURL, "token")
		if jkt, err := d.ProveKey(http.Header{}, r, time.Now()); !errors.Is(err, popauth.ErrUnconfigured) || jkt != "" {
			t.Errorf("%s: ProveKey: got %q, %v, want ErrUnconfigured", name, jkt, err)
		}
		p := popauth.Presentation{Binding: popauth.Binding{Member: "jkt", Value: key.Thumbprint()}, Token: "token"}
		if err := d.Confirm(r, p); !errors.Is(err, popauth.ErrUnconfigured) {
			t.Errorf("%s: Confirm: got %v, want ErrUnconfigured", name, err)
		}
		if err := d.Confirm(r, popauth.Presentation{}); err == nil {
			t.Errorf("%s: VULNERABLE: Confirm accepts what is bound to nothing", name)
		}
	}
}

// TestProveKeyRFC9449 is the RFC's own proof for a token request, at the time it was made at.
func TestProveKeyRFC9449(t *testing.T) {
	x, rfc := lab.NewTokenRequests(t, dpop.Options{}), readRFC9449(t)
	proved := 0
	for _, p := range rfc.Proofs {
		if p.HTM != "POST" {
			continue
		}
		clear(x.Store.Until) // two of them have the same jti
		r := p.request("")
		jkt, err := x.Dpop.ProveKey(http.Header{}, r, time.Unix(p.IAT, 0))
		if err != nil || jkt != rfc.JKT {
			t.Errorf("%s: got %q, %v, want %q", p.Source, jkt, err, rfc.JKT)
		}
		proved++
	}
	if proved == 0 {
		t.Error("no proof for a token request")
	}
}

// FuzzProveKey signs any header and payload, and holds ProveKey against Confirm: they differ in what is said of the token
// and in nothing else.
func FuzzProveKey(f *testing.F) {
	x := lab.NewTokenRequests(lab.FuzzTB{TB: f}, dpop.Options{})
	own := x.Key.JWK()["x"].(string)
	const token = "token"
	add := func(proof string) {
		parts := strings.Split(proof, ".")
		header, _ := base64.RawURLEncoding.DecodeString(parts[0])
		payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
		f.Add(strings.ReplaceAll(string(header), own, "@X@"), string(payload))
	}
	add(x.Proof())
	add(x.Key.Proof("POST", lab.TokenURL, token))
	add(x.Proof(lab.Fields{"ath": "x"}))
	add(x.Proof(lab.Fields{"iat": 1}))
	f.Fuzz(func(t *testing.T, header, payload string) {
		proof := x.Key.Sign([]byte(strings.ReplaceAll(header, "@X@", own)), []byte(payload))
		clear(x.Store.Until)
		jkt, _, proved := x.Prove(proof)
		if (proved == nil) != (jkt == x.Key.Thumbprint()) || (proved == nil) != (x.Store.Len() == 1) {
			t.Fatalf("got %q, %v, %d proofs used up", jkt, proved, x.Store.Len())
		}
		clear(x.Store.Until)
		r := httptest.NewRequest("POST", lab.TokenURL, nil)
		r.Header.Set("DPoP", proof)
		p := popauth.Presentation{Binding: popauth.Binding{Member: "jkt", Value: x.Key.Thumbprint()}, Token: token}.WithNow(x.Clock.Now)
		confirmed := x.Dpop.Confirm(r, p)
		if confirmed == nil && proved != nil {
			t.Fatalf("Confirm accepts what ProveKey refuses: %v", proved)
		}
		var claims lab.Fields
		if err := json.Unmarshal([]byte(payload), &claims); confirmed == nil && (err != nil || claims["ath"] != lab.Ath(token)) {
			t.Fatalf("VULNERABLE: Confirm accepts a proof for a token request: %s", payload)
		}
		if proved == nil && confirmed != nil && !errors.Is(confirmed, popauth.ErrProofMalformed) &&
			!errors.Is(confirmed, popauth.ErrProofToken) {
			t.Fatalf("ProveKey accepts what Confirm refuses: %v", confirmed)
		}
	})
}
