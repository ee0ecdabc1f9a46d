package revocation

import (
	"crypto/x509"
	"math/big"
	"testing"
	"time"
)

// authoritySubject is a certificate of one authority, of that serial number.
func authoritySubject(serial int64) subject {
	c := &x509.Certificate{SerialNumber: big.NewInt(serial), RawSubject: []byte("authority"), IsCA: true,
		NotAfter: time.Now().Add(time.Hour)}
	return newSubject([]*x509.Certificate{c, {RawSubject: []byte("root")}}, 0)
}

// A list mends what one that is no newer has said of the same certificate: not a newer one's, not a responder's, and not what
// the authority is refused for by another certificate.
func TestMend(t *testing.T) {
	now := time.Now()
	first, second := authoritySubject(1), authoritySubject(2)
	for _, tt := range []struct {
		name      string
		before    func(w *withdrawn)
		at        time.Time // of the list that doesn't have the first
		none      bool      // nothing is left
		authority bool      // is refused afterwards
	}{
		{name: "nothing known", before: func(*withdrawn) {}, at: now, none: true},
		{name: "as old", before: func(w *withdrawn) { w.add(first, now, &statement{at: now}) }, at: now, none: true},
		{name: "newer", before: func(w *withdrawn) { w.add(first, now, &statement{at: now}) }, at: now.Add(time.Second), none: true},
		{name: "older", before: func(w *withdrawn) { w.add(first, now, &statement{at: now}) }, at: now.Add(-time.Second), authority: true},
		{name: "final", before: func(w *withdrawn) { w.add(first, now, nil) }, at: now, authority: true},
		{name: "final, and the authority by files", before: func(w *withdrawn) {
			w.add(first, now, nil)
			delete(w.until, first.authority()) // which has made room for another
			w.add(first, now, &statement{at: now})
		}, at: now, authority: true},
		{name: "another certificate of the authority", before: func(w *withdrawn) {
			w.add(first, now, &statement{at: now})
			w.add(second, now, &statement{at: now})
		}, at: now, none: true, authority: true},
	} {
		var w withdrawn
		tt.before(&w)
		if got := w.mend(first, tt.at); got != tt.none {
			t.Errorf("VULNERABLE: %s: got that nothing is left: %t, want %t", tt.name, got, tt.none)
		}
		if _, got := w.of(first.id); got != !tt.none {
			t.Errorf("VULNERABLE: %s: the certificate is revoked: got %t, want %t", tt.name, got, !tt.none)
		}
		if _, got := w.of(first.authority()); got != tt.authority {
			t.Errorf("VULNERABLE: %s: the authority is: got %t, want %t", tt.name, got, tt.authority)
		}
	}
}
