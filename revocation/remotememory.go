package revocation

import "crypto/sha256"

// entrySize is what an entry takes beside its value.
const entrySize = 512

// entry returns that of key. The caller holds mu, and calls hold or touch.
func (m *remote[T]) entry(key [sha256.Size]byte) *entry[T] {
	e, ok := m.entries[key]
	if !ok {
		e = &entry[T]{key: key, newest: m.marks.take(key)}
		m.entries[key] = e
	}
	return e
}

// touch has an entry be the one that was used last.
func (m *remote[T]) touch(e *entry[T]) {
	switch {
	case e.asking > 0:
	case e.place == nil:
		m.release(e)
	default:
		m.order.MoveToFront(e.place)
	}
}

// hold keeps an entry while it is asked for, out of the order of those that can go, so that nobody has to walk over it.
// One that has nothing yet isn't counted: whoever waits for it takes more, and it must not push out what others have.
func (m *remote[T]) hold(e *entry[T]) {
	e.asking++
	if e.place != nil {
		m.order.Remove(e.place)
		e.place = nil
	}
	var none T
	if e.value == none {
		m.bytes -= e.bytes
		e.bytes = 0
	}
	if m.entries[e.key] == nil { // it has gone before its fetch has begun
		m.entries[e.key] = e
	}
}

// release ends what hold began, counts what the entry takes, and makes room for it by those that were not used for longest.
func (m *remote[T]) release(e *entry[T]) {
	var none T
	e.asking = max(e.asking-1, 0)
	if m.entries[e.key] != e || e.asking > 0 && e.value == none {
		return
	}
	m.bytes -= e.bytes
	e.bytes = entrySize
	if e.value != none {
		e.bytes += e.value.size()
	}
	m.bytes += e.bytes
	for at := m.order.Back(); at != nil && m.bytes > m.most; at = m.order.Back() {
		victim, _ := at.Value.(*entry[T])
		m.bytes -= victim.bytes
		victim.bytes, victim.place = 0, nil // a fetch of it may be about to begin
		m.order.Remove(at)
		delete(m.entries, victim.key)
		m.marks.keep(victim.key, victim.newest, m.most/markShare)
	}
	if e.asking == 0 {
		e.place = m.order.PushFront(e)
	}
}
