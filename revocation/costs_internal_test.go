package revocation

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Among those that are over, room is found without a walk over all, while everybody waits.
func TestRoomForTheWithdrawnIsFoundSoon(t *testing.T) {
	now := time.Now()
	for name, until := range map[string]time.Time{"all are over": now.Add(-48 * time.Hour), "none is over": now.Add(time.Hour)} {
		var w withdrawn
		for n := range maxWithdrawn {
			w.put(digest("n", fmt.Append(nil, n)), withdrawal{until: until}, now)
		}
		for n := range 100 {
			id := digest("more", fmt.Append(nil, n))
			before := len(w.until)
			w.put(id, withdrawal{until: now.Add(time.Hour)}, now)
			if _, ok := w.of(id); !ok || len(w.until) > maxWithdrawn || len(w.until) < before-roomLooks {
				t.Fatalf("%s: got %t, %d of %d remembered", name, ok, len(w.until), before)
			}
		}
	}
}

// Hundreds of hosts that want to be left alone make none forgotten that wants it for longer, nor one of another
// authority.
func TestHostsForgetTheSoonest(t *testing.T) {
	now := time.Now()
	var h hosts
	who := func(authority byte, host string) party { return party{host: host, top: [32]byte{authority}} }
	refuse := func(p party, seconds string) {
		_ = h.refused(p, &http.Response{StatusCode: 503, Header: http.Header{"Retry-After": {seconds}}}, now)
	}
	refuse(who(1, "long"), "600")
	refuse(who(2, "other"), "60")
	for n := range 3 * maxHosts {
		refuse(who(1, fmt.Sprint(n)), "120")
	}
	if h.busy(who(1, "long"), now.Add(9*time.Minute)) == nil || h.busy(who(2, "other"), now) == nil || len(h.next) > maxHosts {
		t.Errorf("got that one of the hosts may be asked, of %d; want their Retry-After kept", len(h.next))
	}
	// One that says it again takes no other's place.
	before := len(h.next)
	if refuse(who(1, "long"), "600"); len(h.next) != before {
		t.Errorf("got %d hosts of %d after one has said it again", len(h.next), before)
	}
	// Nor does one that has asked for nothing.
	if err := h.refused(who(1, "missing"), &http.Response{StatusCode: 404}, now); errors.As(err, new(*busyError)) || len(h.next) != before {
		t.Errorf("got %v and %d hosts of %d after a 404", err, len(h.next), before)
	}
	if _, ok := h.next[who(1, "missing")]; ok {
		t.Error("got a host remembered that has sent no Retry-After")
	}
}

// fileList is a list of so many bytes, in a file's form, and its issuer.
func fileList(t *testing.T, size int) (*list, *x509.Certificate) {
	t.Helper()
	issuer, key := namedAuthority(t)
	entries := make([]x509.RevocationListEntry, size/40)
	for i := range entries {
		entries[i] = x509.RevocationListEntry{SerialNumber: new(big.Int).Lsh(big.NewInt(int64(i)+1), 100), RevocationTime: time.Now()}
	}
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour), RevokedCertificateEntries: entries,
	}, issuer, key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := parseList(der)
	if err != nil {
		t.Fatal(err)
	}
	return l, issuer
}

// namedAuthority is always of the same name, and of another key.
func namedAuthority(t *testing.T) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "between"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCRLSign | x509.KeyUsageCertSign, SubjectKeyId: []byte{1},
	}, &x509.Certificate{Subject: pkix.Name{CommonName: "root"}}, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c, key
}

func noSigners(subject) []*x509.Certificate { return nil }

// Whoever names an authority after another has a long list hashed once for all, holds nobody up, and pushes no result
// out that is the rightful one's.
func TestStrangersOfTheSameName(t *testing.T) {
	l, issuer := fileList(t, 16<<20)
	start := time.Now()
	rightful := from(issuer, issuer)
	if err := l.signatureFor(rightful, noSigners).err; err != nil {
		t.Fatal(err)
	}
	alone := time.Since(start)
	hash := &l.hash[0]
	const strangers = 3 * maxChecks
	all := make([]subject, 0, strangers)
	for range strangers {
		stranger, _ := namedAuthority(t)
		all = append(all, from(stranger, stranger))
	}
	start = time.Now()
	for _, s := range all {
		if l.signatureFor(s, noSigners).err == nil {
			t.Fatal("VULNERABLE: a stranger has signed the list")
		}
	}
	if took := time.Since(start); took > strangers*alone/4 {
		t.Errorf("%d strangers took %v, where the rightful one took %v", strangers, took, alone)
	}
	if hash != &l.hash[0] || len(l.made) > maxSignatures || len(l.checks) > maxChecks {
		t.Errorf("got %d signatures and %d checks remembered, hashed once: %t", len(l.made), len(l.checks), hash == &l.hash[0])
	}
	kept := false
	for _, made := range l.made {
		kept = kept || made.err == nil
	}
	if !kept {
		t.Error("the rightful result has gone")
	}
	// A check that is under way holds up those who ask by the same key, and nobody else.
	slow, _ := namedAuthority(t)
	hold, began := &check{err: errUnchecked}, make(chan struct{})
	release := make(chan struct{})
	l.mu.Lock()
	clear(l.made)
	clear(l.checks)
	l.checks[digest("key", slow.RawSubjectPublicKeyInfo)] = hold
	l.mu.Unlock()
	var waits sync.WaitGroup
	waits.Go(func() { hold.once.Do(func() { close(began); <-release }) })
	<-began
	waits.Go(func() {
		if l.signatureFor(from(slow, slow), noSigners).err == nil {
			t.Error("VULNERABLE: a check that has not ended counts")
		}
	})
	if err := l.signatureFor(rightful, noSigners).err; err != nil {
		t.Error(err)
	}
	close(release)
	waits.Wait()
}

// A list that can't be hashed has been signed by nobody, though anybody can make a signature of an empty hash.
func TestAnEmptyHashIsNone(t *testing.T) {
	l, issuer := fileList(t, 100)
	x := new(big.Int).SetBytes(issuer.PublicKey.(*ecdsa.PublicKey).X.Bytes()) //nolint:staticcheck // SA1019: there is no other way to it
	forged, err := asn1.Marshal(struct{ R, S *big.Int }{x, x})
	if err != nil {
		t.Fatal(err)
	}
	if !ecdsa.VerifyASN1(issuer.PublicKey.(*ecdsa.PublicKey), nil, forged) {
		t.Log("from Go 1.27 on, crypto/ecdsa refuses an empty hash by itself")
	}
	l.crl.Signature = forged
	l.hashed.Do(func() {})
	if err := l.signatureFor(from(issuer, issuer), noSigners).err; err == nil {
		t.Error("VULNERABLE: got a signature of nothing")
	}
}

// A check that panics says nothing, then and later.
func TestACheckThatPanics(t *testing.T) {
	l, issuer := fileList(t, 100)
	odd := *issuer
	odd.PublicKey = (*ecdsa.PublicKey)(nil)
	panicked := false
	for range 2 {
		func() {
			defer func() { panicked = panicked || recover() != nil }()
			if l.signatureFor(from(&odd, &odd), noSigners).err == nil {
				t.Error("VULNERABLE: got a signature by a key that nothing can be checked by")
			}
		}()
	}
	if !panicked {
		t.Error("got no panic: the test needs another key")
	}
}

// A file whose time is ahead of this machine's clock is read again once, to be sure, and not at each look.
func TestFileOfTheFuture(t *testing.T) {
	l, issuer := namedAuthority(t)
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour),
	}, l, issuer)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "crl")
	if err := os.WriteFile(path, der, 0o600); err != nil {
		t.Fatal(err)
	}
	ahead := time.Now().Add(time.Hour)
	if err := os.Chtimes(path, ahead, ahead); err != nil {
		t.Fatal(err)
	}
	f := &file{path: path, options: Options{Now: time.Now}}
	first, err := f.load(nil)
	if err != nil || f.read != nil {
		t.Fatalf("got %v, settled at the first look: %t", err, f.read != nil)
	}
	f.since = f.since.Add(-settled) // as if it had been read then
	second, err := f.load(first)
	if err != nil || f.read == nil {
		t.Fatalf("got %v, settled: %t, want that it is", err, f.read != nil)
	}
	if third, err := f.load(second); err != nil || third[0] != second[0] {
		t.Errorf("got %v, and the file read once more", err)
	}
	// Another one is noticed, ahead or not.
	later := ahead.Add(time.Second)
	if err := os.Chtimes(path, later, later); err != nil {
		t.Fatal(err)
	}
	if fourth, err := f.load(second); err != nil || fourth[0] == second[0] || f.read != nil {
		t.Errorf("got %v, want it read, and not settled", err)
	}
}

// slowBody sends so many bytes, and then nothing until its context ends.
type slowBody struct {
	left int
	ctx  context.Context
}

func (s *slowBody) Read(p []byte) (int, error) {
	if s.left == 0 {
		if s.ctx == nil {
			return 0, io.EOF
		}
		<-s.ctx.Done()
		return 0, s.ctx.Err()
	}
	n := min(len(p), s.left)
	s.left -= n
	return n, nil
}

// What nobody has signed yet takes a bounded memory, of which one authority has half.
func TestUnsignedMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const memory = 1 << 20
		b := newBodies(Options{MaxMemory: memory})
		most := maxList(memory)
		of := func(name string) *reading { return b.begin(&x509.Certificate{RawSubject: []byte(name)}) }
		hang, leave := context.WithTimeout(t.Context(), 5*time.Second)
		defer leave()
		var all sync.WaitGroup
		var mu sync.Mutex
		crowded, stuck := 0, 0
		for range maxListsAtOnce {
			all.Go(func() {
				r := of("hangs")
				defer r.end()
				_, err := r.read(hang, &slowBody{left: most - 1, ctx: hang}, most)
				mu.Lock()
				defer mu.Unlock()
				if _, ok := errors.AsType[*crowdedError](err); ok {
					crowded++
				} else {
					stuck++
				}
			})
		}
		synctest.Wait()
		if len(b.reading) != 1 {
			t.Errorf("got %d that read more than a little, want 1", len(b.reading))
		}
		start := time.Now()
		// Others read what is small, and one at a time what is large.
		for _, size := range []int{b.little / 2, most} {
			r := of("other")
			if data, err := r.read(t.Context(), &slowBody{left: size}, most); len(data) != size || err != nil || time.Since(start) != 0 {
				t.Errorf("another's %d bytes: got %d, %v after %v", size, len(data), err, time.Since(start))
			}
			if size == most { // it is held until it has been looked at
				if got := len(b.reading); got != largeAtOnce {
					t.Errorf("got %d that read more than a little, want %d", got, largeAtOnce)
				}
				short, end := context.WithTimeout(t.Context(), time.Second)
				third := of("third")
				if _, err := third.read(short, &slowBody{left: most}, most); !errors.As(err, new(*crowdedError)) {
					t.Errorf("a third at once: got %v, want that there was no memory", err)
				}
				third.end()
				end()
				fourth, began := of("fourth"), time.Now()
				data, err := fourth.read(t.Context(), &slowBody{left: b.little / 2}, most)
				if len(data) != b.little/2 || err != nil || time.Since(began) != 0 {
					t.Errorf("a little beside them: got %d bytes, %v after %v", len(data), err, time.Since(began))
				}
				fourth.end()
			}
			r.end()
		}
		all.Wait()
		if stuck != 1 || crowded != maxListsAtOnce-1 || len(b.reading) != 0 {
			t.Errorf("got %d that hung with memory, %d without, %d left; want 1, the others, 0", stuck, crowded, len(b.reading))
		}
		r := of("hangs")
		defer r.end()
		if data, err := r.read(t.Context(), &slowBody{left: most}, most); len(data) != most || err != nil {
			t.Errorf("afterwards: got %d bytes, %v", len(data), err)
		}
	})
}

// That a source wasn't asked, for want of a place or memory, is nothing that it has failed in, however long that took.
func TestCrowdedIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newRemote[*answer](Options{Timeout: time.Minute, MaxAge: time.Hour, Now: time.Now}, 1<<18, 16)
		for range 2 { // there is no pause before the second
			_, err := m.get(t.Context(), [32]byte{1}, askedFor("a", "a"), func(context.Context) (*answer, error) {
				time.Sleep(50 * time.Second)
				return nil, &crowdedError{"no memory", context.DeadlineExceeded}
			})
			if !errors.As(err, new(*crowdedError)) {
				t.Errorf("got %v", err)
			}
			m.mu.Lock()
			if e := m.entries[[32]byte{1}]; !e.next.IsZero() || !e.reached.IsZero() {
				t.Errorf("got a pause until %v, asked %v; want neither", e.next, e.reached)
			}
			m.mu.Unlock()
		}
	})
}
