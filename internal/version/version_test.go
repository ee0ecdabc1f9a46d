package version_test

import (
	"runtime/debug"
	"testing"

	"github.com/seed-171ab058/popauth/internal/version"
)

func TestIn(t *testing.T) {
	own := debug.Module{Path: version.Module, Version: "v0.1.0"}
	for name, test := range map[string]struct {
		info debug.BuildInfo
		want string
	}{
		"required": {
			debug.BuildInfo{Main: debug.Module{Path: "example.com/api", Version: "v2.0.0"}, Deps: []*debug.Module{&own}}, "v0.1.0",
		},
		"popauth's own program": {
			debug.BuildInfo{Main: own}, "v0.1.0",
		},
		"its command": {
			debug.BuildInfo{Main: debug.Module{Path: version.Module + "/cmd/popauth", Version: "v9"},
				Deps: []*debug.Module{&own}}, "v0.1.0",
		},
		"a tree": {
			debug.BuildInfo{Main: debug.Module{Path: version.Module, Version: "(devel)"}}, "(devel)",
		},
		"without version": {
			debug.BuildInfo{Main: debug.Module{Path: version.Module}}, "(devel)",
		},
		"without popauth": {
			debug.BuildInfo{Main: debug.Module{Path: "example.com/api", Version: "v2.0.0"}}, "(devel)",
		},
		"a module of a like name": {
			debug.BuildInfo{Main: debug.Module{Path: version.Module + "/redisreplay", Version: "v2.0.0"}}, "(devel)",
		},
		"a directory instead": {debug.BuildInfo{Deps: []*debug.Module{
			{Path: version.Module, Version: "v0.0.0", Replace: &debug.Module{Path: "../popauth", Version: "(devel)"}}}}, "(devel)"},
		"a fork instead": {debug.BuildInfo{Deps: []*debug.Module{
			{Path: version.Module, Version: "v0.1.0", Replace: &debug.Module{Path: "example.com/fork", Version: "v0.1.1"}}}},
			"example.com/fork@v0.1.1"},
	} {
		if got := version.In(&test.info); got != test.want {
			t.Errorf("%s: got %s, want %s", name, got, test.want)
		}
	}
	if version.Here() == "" {
		t.Error("here: got nothing")
	}
}
