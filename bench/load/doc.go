// Package load measures whole servers: TLS with client certificates, one process for each server, one for whoever sends
// the requests, each kind on a processor of its own.
package load
