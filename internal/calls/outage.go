package calls

import (
	"context"
	"errors"
	"net"
)

// IsOutage tells an error of the network, or of a context that has ended. A system call's error is a net.Error too, and
// mostly none.
func IsOutage(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return true
	}
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}
