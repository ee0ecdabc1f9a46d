// Package version reads from a program's build information which version of popauth is in it.
package version

import (
	"runtime/debug"
	"sync"
)

// Module is the path of the root module.
const Module = "github.com/seed-171ab058/popauth"

// Unknown is what Go says of a module that is built from a directory.
const Unknown = "(devel)"

// Here is the version in this program.
var Here = sync.OnceValue(func() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Unknown
	}
	return In(info)
})

// In is the version in a program. A module that stands in for it by a replace directive is named with its path: it is
// another one, whatever its version.
func In(info *debug.BuildInfo) string {
	m := &info.Main
	for _, dep := range info.Deps {
		if dep.Path == Module {
			m = dep
		}
	}
	switch {
	case m.Path != Module:
		return Unknown
	case m.Replace == nil && m.Version != "":
		return m.Version
	case m.Replace != nil && m.Replace.Version != "" && m.Replace.Version != Unknown:
		return m.Replace.Path + "@" + m.Replace.Version
	default:
		return Unknown
	}
}
