// Package layout holds the tests of how the repository is built: which package may import which, and how long a file of the root
// may be. They read the files themselves, so that they need no Go command and see those of every module and system.
package layout
