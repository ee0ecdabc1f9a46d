// Package mismatch is what was wanted and what came, for whoever looks into a log: in the text of an error, and apart from it.
package mismatch
