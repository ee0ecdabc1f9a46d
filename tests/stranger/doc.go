// Package stranger takes what is released as somebody does who has nothing but Go: from a module proxy, in empty directories.
// Package release makes what is released, for these tests and for .ci/release.
package stranger
