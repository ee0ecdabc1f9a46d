package main

import (
	"bytes"
	"runtime/debug"
	"strings"
	"testing"
)

func TestVersion(t *testing.T) {
	status, out, errOut := newLab(t).run("", "version")
	if status != exitOK || !strings.HasPrefix(out, "popauth   ") || !strings.Contains(out, "\nGo        go1.") || errOut != "" {
		t.Errorf("got %d, %q, %q", status, out, errOut)
	}
	for name, test := range map[string]struct {
		info debug.BuildInfo
		want string
	}{
		"installed": {debug.BuildInfo{GoVersion: "go1.26.0", Main: debug.Module{Version: "v0.2.0"},
			Settings: []debug.BuildSetting{{Key: "GOOS", Value: "linux"}, {Key: "GOARCH", Value: "amd64"}}},
			"popauth   v0.2.0\npackage   v0.1.0\nGo        go1.26.0 linux/amd64\n"},
		"from a clone": {debug.BuildInfo{GoVersion: "go1.26.0", Main: debug.Module{Version: "(devel)"}, Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.time", Value: "2026-11-27T00:00:00Z"}, {Key: "vcs.modified", Value: "true"}}},
			"popauth   (devel)\npackage   v0.1.0\nrevision  abc, changed\nof        2026-11-27T00:00:00Z\nGo        go1.26.0\n"},
		"nothing known": {debug.BuildInfo{}, "popauth   unknown\npackage   v0.1.0\nGo        unknown\n"},
	} {
		var out bytes.Buffer
		if err := printVersion(&out, &test.info, "v0.1.0"); err != nil || out.String() != test.want {
			t.Errorf("%s: got %v, %q, want %q", name, err, out.String(), test.want)
		}
	}
}
