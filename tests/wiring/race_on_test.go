//go:build race

package wiring_test

// earlyData is false, since quic-go's client opens its streams in a data race with the handshake where it may send early data
// (v0.65.0). The test without the race detector sends some.
const earlyData = false
