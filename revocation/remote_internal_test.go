package revocation

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// askedFor is on behalf of the authority of that name, at that host.
func askedFor(authority, host string) origin {
	return origin{subject{top: &x509.Certificate{RawSubject: []byte(authority)}}, "http://" + host + "/"}
}

// Requests wait for a place within their own time, and no fetch keeps its place, however it ends.
func TestFetchesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newRemote[*list](Options{Timeout: time.Minute, MaxAge: time.Hour, Now: time.Now}, 1<<20, 2)
		ends := []func(){func() {}, func() { panic("on purpose") }, runtime.Goexit}
		var mu sync.Mutex
		var now, most, began int
		fetch := func(context.Context) (*list, error) {
			mu.Lock()
			now++
			most = max(most, now)
			end := ends[began%len(ends)]
			began++
			mu.Unlock()
			defer func() {
				mu.Lock()
				now--
				mu.Unlock()
			}()
			time.Sleep(10 * time.Second)
			end()
			return nil, errors.New("refused")
		}
		busy := 0 // without a slot
		var all sync.WaitGroup
		for n := range 20 {
			all.Go(func() {
				_, err := m.get(t.Context(), [32]byte{byte(n)}, askedFor(fmt.Sprint(n), fmt.Sprint(n)), fetch)
				mu.Lock()
				defer mu.Unlock()
				if _, ok := errors.AsType[*crowdedError](err); ok && strings.Contains(err.Error(), "2 fetches at once") {
					busy++
				}
			})
		}
		all.Wait()
		// One at a time, the other place being kept for what was good lately; twelve times within two minutes.
		if most != 1 || began < 10 || began+busy != 20 {
			t.Errorf("got %d at once, %d fetches, %d without a slot; want 1, 10 to 13, the rest", most, began, busy)
		}
	})
}

// An authority whose servers don't answer has a part of the places and nothing of the others' time, whatever it asks
// for. There is no goroutine for what waits, and who has gone keeps no place.
func TestOneAuthorityHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := Options{Timeout: 5 * time.Second, MaxAge: time.Hour, Now: time.Now}
		m := newRemote[*answer](o, 1<<18, 64)
		open, peak := 0, 0
		var mu sync.Mutex
		hang := func(ctx context.Context) (*answer, error) {
			mu.Lock()
			open++
			peak = max(peak, open)
			mu.Unlock()
			<-ctx.Done()
			mu.Lock()
			open--
			mu.Unlock()
			return nil, ctx.Err()
		}
		gone, leave := context.WithCancel(t.Context())
		leave()
		before := runtime.NumGoroutine()
		key := func(n int) [32]byte { return digest("key", fmt.Append(nil, n)) }
		for n := range 10_000 { // ever other addresses, of ever other authorities that it has certified
			if _, err := m.get(gone, key(n), askedFor("hangs", fmt.Sprint(n)), hang); err == nil {
				t.Fatal("got an answer")
			}
		}
		synctest.Wait()
		if n := runtime.NumGoroutine() - before; peak != 16 || n > 20 {
			t.Errorf("got %d fetches at once and %d goroutines, want 16 of each", peak, n)
		}
		began := time.Now()
		fine := &answer{this: time.Now(), until: time.Now().Add(time.Hour)}
		for n := range 20 {
			a, err := m.get(t.Context(), key(20_000+n), askedFor("other", "other"),
				func(context.Context) (*answer, error) { return fine, nil })
			if a != fine || err != nil || time.Since(began) != 0 {
				t.Fatalf("another's: got %v, %v after %v", a, err, time.Since(began))
			}
		}
		// Its own clients are told that there was no place, not that a source has failed.
		short, end := context.WithTimeout(t.Context(), time.Second)
		defer end()
		_, err := m.get(short, key(30_000), askedFor("hangs", "new"), hang)
		if _, ok := errors.AsType[*crowdedError](err); !ok {
			t.Errorf("one more: got %v, want that there was no place", err)
		}
		m.mu.Lock()
		if e := m.entries[key(30_000)]; e.err != nil || !e.next.IsZero() || !e.reached.IsZero() {
			t.Errorf("one more: got %+v, want no failure of the source", e)
		}
		m.mu.Unlock()
		time.Sleep(time.Minute)
	})
}

// One host's fetches are bounded too, whoever asks for them.
func TestOneHostHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newRemote[*answer](Options{Timeout: 5 * time.Second, MaxAge: time.Hour, Now: time.Now}, 1<<18, 16)
		var mu sync.Mutex
		peak := 0
		gone, leave := context.WithCancel(t.Context())
		leave()
		for n := range 100 {
			_, _ = m.get(gone, [32]byte{byte(n)}, askedFor(fmt.Sprint(n), "hangs"), func(ctx context.Context) (*answer, error) {
				mu.Lock()
				peak++
				mu.Unlock()
				<-ctx.Done()
				return nil, ctx.Err()
			})
		}
		synctest.Wait()
		if peak != 8 {
			t.Errorf("got %d fetches at once, want 8", peak)
		}
		time.Sleep(time.Minute)
	})
}

// What is asked for can't go, and costs nobody else a walk over it, nor what he has.
func TestAskedForIsNoBurden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newRemote[*answer](Options{Timeout: time.Hour, MaxAge: time.Hour, Now: time.Now}, 1<<18, 64)
		fine := &answer{this: time.Now(), until: time.Now().Add(24 * time.Hour)}
		good := [32]byte{1}
		ask := func() (*answer, error) {
			return m.get(t.Context(), good, askedFor("other", "other"), func(context.Context) (*answer, error) { return fine, nil })
		}
		if a, err := ask(); a != fine || err != nil {
			t.Fatalf("got %v, %v", a, err)
		}
		var all sync.WaitGroup
		flood := func() (leave func()) {
			ctx, leave := context.WithCancel(t.Context())
			for n := range 3000 {
				all.Go(func() {
					_, _ = m.get(ctx, digest("key", fmt.Append(nil, n)), askedFor("hangs", "hangs"),
						func(context.Context) (*answer, error) {
							<-ctx.Done()
							return nil, errors.New("refused")
						})
				})
			}
			synctest.Wait()
			return leave
		}
		leave := flood()
		m.mu.Lock()
		if m.entries[good] == nil || m.order.Len() != 1 || m.bytes > 1<<10 {
			t.Errorf("got %t, %d entries that may go, %d bytes; want that it stays, 1, those of one answer",
				m.entries[good] != nil, m.order.Len(), m.bytes)
		}
		m.mu.Unlock()
		leave()
		all.Wait()
		synctest.Wait()
		m.mu.Lock()
		if m.bytes > m.most || m.order.Len() != len(m.entries) {
			t.Errorf("got %d bytes of %d, %d entries in order of %d", m.bytes, m.most, m.order.Len(), len(m.entries))
		}
		m.mu.Unlock()
		if a, err := ask(); a != fine || err != nil {
			t.Errorf("afterwards: got %v, %v", a, err)
		}
		// So is what has failed before.
		time.Sleep(pause)
		leave = flood()
		m.mu.Lock()
		if m.bytes > 1<<10 {
			t.Errorf("asked for again: got %d bytes, want those of one answer", m.bytes)
		}
		m.mu.Unlock()
		leave()
		all.Wait()
	})
}
