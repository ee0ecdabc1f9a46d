package proxies_test

import (
	"fmt"
	"testing"
)

// The page says how many requests each test makes through each proxy.
func TestMatrix(t *testing.T) {
	c := newCast(t)
	proofs := len((&dpopLane{lane: &lane{cast: c}}).rows())
	table := [][]string{
		{"rows, each through every proxy", "test", "HTTP", "rows", "requests for each proxy"},
		{"certificates, forged headers, `Connection`, spellings", "TestProxies", "1.1, 2", fmt.Sprint(len(rows(c))),
			fmt.Sprint(len(rows(c)) * 2 * len(ways))},
		{"DPoP", "TestDPoP", "1.1, 2", fmt.Sprint(proofs), fmt.Sprint(proofs * 2)},
		{"trailers, WebSocket, preflights", "TestMessages", "1.1", fmt.Sprint(len(messages(c))), fmt.Sprint(len(messages(c)))},
		{"random names in certificates", "TestRandomNames", "1.1", fmt.Sprint(certificates), fmt.Sprint(2 * certificates)},
		{"random request lines with proofs", "TestRandomTargets", "1.1", fmt.Sprint(requestLines), fmt.Sprint(2 * requestLines)},
	}
	document(t, "matrix", table)
}
