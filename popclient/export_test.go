package popclient

import "time"

// What the tests of the parser look at.
var (
	WantsNonce   = wantsNonce
	Concatenated = concatenated
)

// Origins is how many origins d remembers a nonce of.
func (d *DPoP) Remembered() int { return len(d.nonces.last) }

// AskAgain has the next request ask for the certificate.
func (m *MutualTLS) AskAgain() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = time.Time{}
}

// CheckMAC is what is looked at before a file's password.
var CheckMAC = checkMAC
