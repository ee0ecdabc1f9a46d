package certname

import "errors"

// ErrNotVerified is why a certificate that nobody has verified is no identity: its names are what the caller says of itself.
var ErrNotVerified = errors.New("nobody has verified it")
