package popclient

// What the tests of the parser look at.
var (
	WantsNonce   = wantsNonce
	Concatenated = concatenated
)

// Origins is how many origins d remembers a nonce of.
func (d *DPoP) Remembered() int { return len(d.nonces.last) }
