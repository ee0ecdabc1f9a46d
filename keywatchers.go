package popauth

import "sync"

// watchers are told when what RemoteKeys need has changed. Several tenants may share the keys.
type watchers struct {
	mu  sync.Mutex
	all map[*tenant]func()
}

func (w *watchers) set(t *tenant, changed func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all == nil {
		w.all = map[*tenant]func(){}
	}
	w.all[t] = changed
}

func (w *watchers) remove(t *tenant) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.all, t)
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
