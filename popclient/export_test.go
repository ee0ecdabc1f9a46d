package popclient

import (
	"log/slog"
	"testing/synctest"
	"time"

	"github.com/seed-171ab058/popauth/internal/discovery"
)

// What the tests of the parser look at.
var (
	WantsNonce   = wantsNonce
	Concatenated = concatenated
)

// Origins is how many origins d remembers a nonce of.
func (d *DPoP) Remembered() int { return len(d.nonces.last) }

// AskAgain asks for the certificate, and lets the current one fetch its token if it has none.
func (m *MutualTLS) AskAgain() {
	m.AskNow()
	g, _ := m.generations()
	g.held("")
	g.mu.Lock()
	f := g.flight
	g.mu.Unlock()
	if f != nil {
		<-f.done
	}
}

// AskLater has the next request ask for the certificate.
func (m *MutualTLS) AskLater() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = time.Time{}
}

// AskNow asks for the certificate.
func (m *MutualTLS) AskNow() {
	m.mu.Lock()
	m.asked = time.Time{}
	m.mu.Unlock()
	if asking, _ := m.renewCertificate(); asking != nil {
		<-asking
	}
	m.AwaitLog()
}

// AwaitLog waits until all is logged.
func (m *MutualTLS) AwaitLog() {
	for busy := true; busy; time.Sleep(time.Millisecond) {
		m.journal.mu.Lock()
		busy = m.journal.writing
		m.journal.mu.Unlock()
	}
}

// MetadataAge has the issuer's metadata be so much older.
func (m *MutualTLS) MetadataAge(d time.Duration) {
	m.endpoint.mu.Lock()
	defer m.endpoint.mu.Unlock()
	m.endpoint.at = m.endpoint.at.Add(-d)
}

// ReadEndpoint reads a metadata document of that issuer.
func ReadEndpoint(body []byte, issuer string) (string, error) {
	i, err := discovery.NewIssuer(issuer, discovery.NoHTTP)
	if err != nil {
		return "", err
	}
	u, err := i.Location(body, "token_endpoint", true)
	if err != nil {
		return "", err
	}
	return u.String(), nil
}

// CheckMAC is what is looked at before a file's password.
var CheckMAC = checkMAC

// Unlogged logs a line where there is no log, and returns whether anything is kept or started for it.
func Unlogged() bool {
	j := &journal{}
	j.add(slog.LevelWarn, "nobody reads this")
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lines != nil || j.writing
}

// Backlog logs n lines while one before them is written, and returns how many wait. It is for a bubble of synctest.
func Backlog(l *slog.Logger, n int) int {
	j := &journal{logger: l}
	j.add(slog.LevelWarn, "first")
	synctest.Wait()
	for range n {
		j.add(slog.LevelWarn, "next")
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.lines)
}

// Product is how a client of that version names itself.
var Product = product
