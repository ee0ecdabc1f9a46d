package revocation

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Fetches wait for a slot within their own time, and none keeps its slot, however it ends.
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
				_, err := m.get(t.Context(), [32]byte{byte(n)}, fetch)
				mu.Lock()
				defer mu.Unlock()
				if err != nil && strings.Contains(err.Error(), "2 fetches at once") {
					busy++
				}
			})
		}
		all.Wait()
		// Two at a time, six times within the minute; those who got no slot until then end, too.
		if most != 2 || began < 10 || began+busy != 20 || len(m.slots) != 0 {
			t.Errorf("got %d at once, %d fetches, %d without a slot, %d slots kept; want 2, 10 to 12, the rest, 0", most, began, busy, len(m.slots))
		}
	})
}
