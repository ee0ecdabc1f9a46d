// Package counterpart gets and runs the real programs that tests hold popauth against, such as authorization servers
// and proxies. What takes long to get is made once and kept in a cache; what a test starts ends with it.
//
// A test that lacks a program is skipped; under CI=true it fails. Programs run on Unix alone.
package counterpart
