package popauth

import "github.com/seed-171ab058/popauth/internal/version"

// Version is the version of popauth in this program, such as v0.1.0, as its build information has it: for a line of the log at
// start, and for whoever reports a fault. It is (devel) where popauth is built from a directory, and path@version where another
// module stands in for it. No answer to a client has it.
func Version() string { return version.Here() }
