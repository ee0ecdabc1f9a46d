package certname_test

import (
	"bytes"
	"crypto/elliptic"
	"testing"

	"github.com/seed-171ab058/popauth/internal/certname"
)

// The period is what crypto/x509 reads, of what it can parse, and none is made up for what has none.
func TestPeriod(t *testing.T) {
	k := key(t, elliptic.P256())
	c := (&mesh{t: t}).issue("x", "x", k, k, false)
	from, until, err := certname.Period(c.Raw)
	if err != nil || !from.Equal(c.NotBefore) || !until.Equal(c.NotAfter) {
		t.Fatalf("got %v to %v, %v, want %v to %v", from, until, err, c.NotBefore, c.NotAfter)
	}
	at := bytes.Index(c.Raw, []byte{0x30, 30, 0x17, 13}) // two of UTCTime
	if at < 0 {
		t.Fatal("the test needs a period of two UTCTimes")
	}
	for name, tt := range map[string]struct {
		at int // in the period
		to []byte
	}{
		"the beginning no time": {at: 4, to: []byte("999")},
		"the end no time":       {at: 4 + 13 + 2, to: []byte("999")},
		"no second time":        {at: 4 + 13, to: []byte{0x13}},
		"something behind":      {at: 2, to: []byte("\x17\x0d200101000000Z\x17\x0b2001010000Z\x05\x00")},
		"no sequence":           {at: 0, to: []byte{0x31}},
	} {
		raw := bytes.Clone(c.Raw)
		copy(raw[at+tt.at:], tt.to)
		if from, until, err := certname.Period(raw); err == nil || !from.IsZero() || !until.IsZero() {
			t.Errorf("VULNERABLE: %s: got %v to %v, %v, want an error", name, from, until, err)
		}
	}
	for n := range c.Raw {
		if _, _, err := certname.Period(c.Raw[:n]); err == nil {
			t.Fatalf("VULNERABLE: got a period of %d bytes of %d", n, len(c.Raw))
		}
	}
}
