package main

import (
	"strings"
	"testing"
)

// What may be secret is cut wherever it stands, and nothing else is.
func TestMask(t *testing.T) {
	const token = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJlc2lnbmF0dXJl"
	m := &mask{}
	m.add("known secret")
	for name, got := range map[string]string{
		"a token that nobody knows": m.text("before " + token + " after"),
		"a known secret":            m.text("it is known secret, known+secret, known%20secret"),
		"proof":                     m.header("dpop", "opaque-proof-opaque-proof-opaque-proof-opaque"),
		"cookie":                    m.header("Cookie", "session=opaque"),
		"set-cookie":                m.header("Set-Cookie", "session=opaque"),
		"authorization":             m.header("Authorization", "Bearer opaque"),
		"basic":                     m.header("Authorization", "Basic b3BhcXVlb3BhcXVlb3BhcXVlb3BhcXVlb3BhcXVlb3BhcXVl"),
		"proxy authorization":       m.header("Proxy-Authorization", "Basic opaque"),
		"token in another header":   m.header("X-Token", token),
		"form":                      m.form("client_secret=opaque&client_assertion=opaque&scope=a"),
		"answer":                    m.json(`{"access_token": "opaque", "refresh_token":"opa\"que", "id_token":"opaque","scope":"a"}`),
	} {
		for _, bad := range []string{token, "known secret", "known+secret", "known%20secret", "opaque-", "=opaque", `"opaque`,
			` opaque`, `que"`, "b3Bh"} {
			if strings.Contains(got, bad) {
				t.Errorf("%s: got %s, with %q in it", name, got, bad)
			}
		}
	}
	for _, s := range []string{m.form("grant_type=client_credentials&scope=a"), m.header("Content-Type", "text/plain"),
		m.json(`{"scope":"a"}`)} {
		if strings.Contains(s, "…") {
			t.Errorf("got %s, want it whole", s)
		}
	}
	if m.off = true; m.header("Authorization", "Bearer "+token) != "Bearer "+token || m.text("known secret") != "known secret" {
		t.Error("asked for, and masked all the same")
	}
}
