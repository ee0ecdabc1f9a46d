package keys

import (
	"crypto/sha256"
	"time"

	"github.com/seed-171ab058/popauth/internal/jose"
	"github.com/seed-171ab058/popauth/internal/settings"
)

const (
	// maxAbsence caps the back-off for a key that was not found. A longer one would protect nobody beyond what Cooldown
	// does, and would lock out a key whose name somebody has guessed before it was there.
	maxAbsence = time.Minute

	// maxAbsent bounds the memory of keys that do not exist. It is for clients that name such a key again and again. Flooding
	// it buys an attacker one fetch per Cooldown, as any unknown key does.
	maxAbsent = 32

	// absentSize is what that memory needs, in bytes.
	absentSize = maxAbsent * 64
)

// absence is a key that a fetch has not found. The longer it has been absent, the longer nobody is asked about it, up to
// maxAbsence.
type absence struct {
	name [sha256.Size]byte
	at   time.Time // of the fetch
	wait time.Duration
}

func (a absence) asked(now time.Time) bool {
	age := now.Sub(a.at)
	return age < a.wait && age > -settings.MaxLeeway
}

// absences remember keys by the hash of their name: the name itself is a part of a token's header, and would hold on to the
// whole of it.
type absences struct{ list []absence }

func absentName(id ID) [sha256.Size]byte {
	var space [2 + len(jose.BySHA256) + jose.MaxKeyID]byte
	return sha256.Sum256(append(append(append(space[:0], id.By...), 0), id.Name...))
}

func (m *absences) find(name [sha256.Size]byte) *absence {
	for i := range m.list {
		if m.list[i].name == name {
			return &m.list[i]
		}
	}
	return nil
}

func (m *absences) asked(id ID, now time.Time) bool {
	a := m.find(absentName(id))
	return a != nil && a.asked(now)
}

// miss remembers that the fetch at that time has not found the key. What is over first makes room.
func (m *absences) miss(id ID, at time.Time, cooldown time.Duration) {
	name := absentName(id)
	a := m.find(name)
	switch {
	case a == nil && len(m.list) < maxAbsent:
		if m.list == nil {
			m.list = make([]absence, 0, maxAbsent)
		}
		m.list = append(m.list, absence{})
		a = &m.list[len(m.list)-1]
	case a == nil:
		a = &m.list[0]
		for i := range m.list {
			if b := &m.list[i]; b.at.Add(b.wait).Before(a.at.Add(a.wait)) {
				a = b
			}
		}
		*a = absence{}
	case a.at.Equal(at):
		return // another request waited for the same fetch
	}
	*a = absence{name, at, min(max(2*a.wait, cooldown), max(maxAbsence, cooldown))}
}
