// Package load measures whole servers: TLS with client certificates, one process for each server and one for the
// clients, servers and clients each on a processor of their own.
package load
