// Package settings checks the fields of option structs and fills in their defaults, so that a constructor can report all that is
// wrong with them at once.
package settings
