package keys

import "sync"

// watchers are told when a fetch has ended: what the keys need may have changed. Several may watch the same keys.
type watchers struct {
	mu  sync.Mutex
	all map[any]func()
}

// set has changed called from now on. Who is compared with ==, and has one func at a time.
func (w *watchers) set(who any, changed func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all == nil {
		w.all = map[any]func(){}
	}
	w.all[who] = changed
}

func (w *watchers) remove(who any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.all, who)
}

// tell tells them without the lock: who is told may have to leave.
func (w *watchers) tell() {
	w.mu.Lock()
	told := make([]func(), 0, len(w.all))
	for _, changed := range w.all {
		told = append(told, changed)
	}
	w.mu.Unlock()
	for _, changed := range told {
		changed()
	}
}
