package interop_test

import (
	"context"
	"os/exec"
	"regexp"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

var (
	clientScenario = regexp.MustCompile(`(?m)^ *- (auth/[a-z0-9-]+) `)
	clientVerdict  = regexp.MustCompile(`(?m)^Passed: (\d+)/(\d+), (\d+) failed`)
)

// The client of the Go SDK, with popclient in its transports, passes each of the conformance suite's scenarios of
// authorization; without popclient it fails those of DPoP, and no others.
func TestMCPClientConformance(t *testing.T) {
	node := suiteNode(t)
	list, err := exec.Command(node, suiteProgram, "list", "--client").Output()
	if err != nil {
		t.Fatal(err)
	}
	agent := build(t, t.TempDir(), "mcpagent")
	var scenarios []string
	for _, m := range clientScenario.FindAllSubmatch(list, -1) {
		scenarios = append(scenarios, string(m[1]))
	}
	if len(scenarios) < 33 {
		t.Fatalf("the suite lists %d scenarios of authorization, want 33 at least: %q", len(scenarios), scenarios)
	}
	var passed, all atomic.Int64
	t.Run("popclient", func(t *testing.T) {
		slots := make(chan struct{}, 3) // each is two processes
		for _, name := range scenarios {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				slots <- struct{}{}
				defer func() { <-slots }()
				p, n, out := clientSuite(t, node, agent, name)
				passed.Add(p)
				all.Add(n)
				if p != n || n == 0 {
					t.Errorf("got %d of %d\n%s", p, n, out)
				}
			})
		}
	})
	t.Logf("%d of %d checks of %d scenarios", passed.Load(), all.Load(), len(scenarios))
	for _, name := range []string{"auth/dpop", "auth/dpop-nonce"} {
		if p, n, out := clientSuite(t, node, agent+" -plain", name); p == n {
			t.Errorf("%s, without popclient: got %d of %d\n%s", name, p, n, out)
		}
	}
	if p, n, out := clientSuite(t, node, agent+" -plain", "auth/metadata-default"); p != n || n == 0 {
		t.Errorf("auth/metadata-default, without popclient: got %d of %d\n%s", p, n, out)
	}
}

// clientSuite runs one scenario. The suite fails if one of its checks has failed, and if the client ends with an error
// where it shouldn't.
func clientSuite(t *testing.T, node, command, scenario string) (passed, all int64, out []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, node, suiteProgram, "client", "--command", command, "--scenario", scenario,
		"--timeout", "20000", "-o", t.TempDir()).CombinedOutput()
	m := clientVerdict.FindSubmatch(out)
	if m == nil {
		t.Fatalf("%v: %s", err, out)
	}
	passed, _ = strconv.ParseInt(string(m[1]), 10, 64)
	all, _ = strconv.ParseInt(string(m[2]), 10, 64)
	if err != nil && passed == all {
		passed = 0
	}
	return passed, all, out
}
