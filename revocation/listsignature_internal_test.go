package revocation

import "testing"

// Whoever asks a list from elsewhere once it is sealed is told, and takes none of the memory that was counted for it.
func TestSealedListRemembersNobodyElse(t *testing.T) {
	l, issuer := fileList(t, 100)
	own := from(issuer, issuer)
	if made := l.signatureFor(own, noSigners); made.err != nil {
		t.Fatal(made.err)
	}
	l.seal()
	stranger, _ := namedAuthority(t)
	if made := l.signatureFor(from(stranger, stranger), noSigners); made.err == nil {
		t.Error("VULNERABLE: a stranger has signed it")
	}
	if made := l.signatureFor(own, noSigners); made.err != nil || len(l.made) != 1 {
		t.Errorf("got %v, and %d signatures remembered, want the first one's", made.err, len(l.made))
	}
}

// A list that isn't in its file any more is kept as it is, with what has been checked since, however often the file is read.
func TestKeptListIsKept(t *testing.T) {
	l, _ := fileList(t, 100)
	kept := l.keep()
	if kept == l || kept.keep() != kept {
		t.Errorf("got another list: %t, and the second time: %t, want only the first time", kept != l, kept.keep() != kept)
	}
	if got := name([]byte{0x30}); got != "unreadable" {
		t.Errorf("an issuer for the log: got %q", got)
	}
}
