package pages_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A tag of an action can be moved to other code, a commit can't; and each workflow says itself what its token may do.
func TestWorkflows(t *testing.T) {
	pinned := regexp.MustCompile(`^[a-z0-9-]+/[a-z0-9/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	installed := regexp.MustCompile(`@v\d+\.\d+\.\d+(\s|$)`)
	names, err := filepath.Glob("../../.github/workflows/*.yml")
	if err != nil || len(names) == 0 {
		t.Fatalf("got %q, error %v", names, err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(b), "\npermissions:") {
			t.Errorf("%s: got no permissions for all jobs, want few: what is given by default is the repository's setting", name)
		}
		for line := range strings.Lines(string(b)) {
			line = strings.TrimPrefix(strings.TrimSpace(line), "- ")
			if action, ok := strings.CutPrefix(line, "uses: "); ok && !pinned.MatchString(action) {
				t.Errorf("%s: got %q, want a commit of 40 digits, and the version that it is behind #", name, action)
			}
			if program, ok := strings.CutPrefix(line, "go install "); ok && !installed.MatchString(program) {
				t.Errorf("%s: got %q, want a version", name, program)
			}
		}
	}
}
