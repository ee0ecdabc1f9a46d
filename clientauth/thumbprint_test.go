package clientauth_test

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

func TestThumbprintSpellings(t *testing.T) {
	owner, other := popauthtest.SelfSigned(t, "batch"), popauthtest.SelfSigned(t, "batch")
	sum, err := base64.RawURLEncoding.DecodeString(owner.Thumbprint())
	if err != nil {
		t.Fatal(err)
	}
	lower := hex.EncodeToString(sum)
	var pairs []string
	for i := 0; i < len(lower); i += 2 {
		pairs = append(pairs, lower[i:i+2])
	}
	upper := strings.ToUpper(strings.Join(pairs, ":"))
	for _, s := range []string{
		lower, strings.ToUpper(lower), upper, strings.ToLower(upper), strings.Join(pairs, " "), strings.Join(pairs, "-"),
		"\u200e" + lower, "\u200e" + strings.Join(pairs, " ") + "\u200f", "\ufeff" + upper + "\r\n", " " + lower + "\t",
		strings.Join(pairs, "\u00a0"), "sha256 Fingerprint=" + upper, "SHA256 Fingerprint=" + upper, "sha256:" + lower,
		owner.Thumbprint(), base64.StdEncoding.EncodeToString(sum), base64.RawStdEncoding.EncodeToString(sum),
		base64.URLEncoding.EncodeToString(sum),
	} {
		credential := must(t)(clientauth.Thumbprint(s))
		if !fits(t, credential, by(owner, popauth.NotVerified)) {
			t.Errorf("%q: doesn't fit", s)
		}
		if fits(t, credential, by(other, popauth.VerifiedByTLS)) {
			t.Errorf("VULNERABLE: %q: fits another certificate", s)
		}
		if want := "thumbprint=" + owner.Thumbprint(); credential.String() != want {
			t.Errorf("%q: got %s, want %s", s, credential, want)
		}
	}
	for _, s := range []string{
		"", "x", lower[:62], lower + "00", strings.Repeat("g", 64), owner.Thumbprint()[:42], owner.Thumbprint() + "A",
		owner.Thumbprint() + "==", lower[:32], strings.Repeat("ab", 64), "?" + lower, upper + "," + upper,
		// Other bits that a lax decoder would drop.
		owner.Thumbprint()[:42] + "_",
	} {
		if c, err := clientauth.Thumbprint(s); err == nil {
			t.Errorf("%q: got %v, want an error", s, c)
		}
	}
}

// A message that says what to enter is part of refusing SHA-1.
func TestThumbprintOfSHA1(t *testing.T) {
	sum := make([]byte, 20)
	for i := range sum {
		sum[i] = byte(i * 11)
	}
	for _, s := range []string{
		hex.EncodeToString(sum), "\u200e" + strings.ToUpper(hex.EncodeToString(sum)), "SHA1 Fingerprint=" + hex.EncodeToString(sum),
		base64.RawURLEncoding.EncodeToString(sum), base64.StdEncoding.EncodeToString(sum),
	} {
		_, err := clientauth.Thumbprint(s)
		if err == nil || !strings.Contains(err.Error(), "SHA-1") || !strings.Contains(err.Error(), "-fingerprint -sha256") {
			t.Errorf("%q: got %v", s, err)
		}
	}
}
