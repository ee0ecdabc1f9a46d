// Package counterpart gets and runs the real programs that popauth is tested against, such as authorization servers
// and proxies. It caches what takes long to get, and ends with the test what the test started.
//
// A test that lacks a program is skipped; under CI=true it fails. Programs run on Unix alone.
package counterpart
