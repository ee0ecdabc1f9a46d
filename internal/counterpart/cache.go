//go:build unix

package counterpart

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Cache returns the directory that is kept under this name for these inputs: versions, checksums, configuration. If
// there is none, fill makes it. Nobody may write to it afterwards.
//
// A lock keeps two processes from filling it at once. The directory gets its name when fill has returned, so that one
// that is incomplete is never used. Directories of other inputs remain, until somebody deletes the cache: it is
// $POPAUTH_CACHE, by default popauth in the user's cache directory.
func Cache(tb testing.TB, name string, inputs []string, fill func(dir string)) string {
	tb.Helper()
	parent := filepath.Join(cacheDir(tb), "counterparts")
	dir := filepath.Join(parent, name+"-"+key(inputs))
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	must(tb, os.MkdirAll(parent, 0o750))
	defer lock(tb, dir+".lock")()
	if _, err := os.Stat(dir); err == nil {
		return dir // by the process that had the lock before
	}
	part := dir + ".part"
	must(tb, os.RemoveAll(part)) // of a process that was killed
	must(tb, os.Mkdir(part, 0o750))
	// Deferred, since a fill that fails ends the goroutine.
	defer func() { must(tb, os.RemoveAll(part)) }()
	fill(part)
	must(tb, os.Rename(part, dir))
	return dir
}

func cacheDir(tb testing.TB) string {
	tb.Helper()
	if dir := os.Getenv("POPAUTH_CACHE"); dir != "" {
		dir, err := filepath.Abs(dir)
		must(tb, err)
		return dir
	}
	dir, err := os.UserCacheDir()
	must(tb, err)
	return filepath.Join(dir, "popauth")
}

func key(inputs []string) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%q", inputs))
	return hex.EncodeToString(h[:8])
}

// lock waits for the lock of this name, and returns what gives it back. A process that is killed gives it back too.
func lock(tb testing.TB, name string) (unlock func()) {
	tb.Helper()
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // G304: a name of the cache's own
	must(tb, err)
	for err = syscall.EINTR; errors.Is(err, syscall.EINTR); {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
	}
	must(tb, err)
	return func() { _ = f.Close() }
}

// Clone makes at to a copy of a directory of the cache, for a program to run from. Its files are hard links where the
// file system allows: they may be replaced, and not written to.
func Clone(tb testing.TB, to, from string) {
	tb.Helper()
	err := filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(name, from))
		if d.IsDir() {
			return os.MkdirAll(target, 0o750)
		}
		return os.Link(name, target) //nolint:gosec // G122: nobody else writes to the cache
	})
	if err != nil {
		must(tb, os.RemoveAll(to))
		must(tb, os.CopyFS(to, os.DirFS(from)))
	}
}

// Maven gets an artifact (group:name:version:type) into dir, which must have no file of this type, and checks its
// SHA-256.
func Maven(tb testing.TB, dir, artifact, checksum string) (file string) {
	tb.Helper()
	//nolint:gosec // G204: the test names it
	Run(tb, exec.Command("mvn", "-q", "-B", "dependency:copy", "-Dartifact="+artifact, "-DoutputDirectory="+dir))
	files, err := filepath.Glob(filepath.Join(dir, "*."+artifact[strings.LastIndexByte(artifact, ':')+1:]))
	must(tb, err)
	if len(files) != 1 {
		tb.Fatalf("%s: got the files %v, want one", artifact, files)
	}
	content, err := os.Open(files[0])
	must(tb, err)
	defer func() { _ = content.Close() }()
	h := sha256.New()
	_, err = io.Copy(h, content)
	must(tb, err)
	if got := hex.EncodeToString(h.Sum(nil)); got != checksum {
		tb.Fatalf("%s: got SHA-256 %s, want %s", artifact, got, checksum)
	}
	return files[0]
}

// MavenLibraries gets the jars that a pom.xml depends on at run time into dir, and checks the SHA-256 of the list of their
// names and SHA-256s.
func MavenLibraries(tb testing.TB, dir, pom, checksum string) {
	tb.Helper()
	//nolint:gosec // G204: the test names it
	Run(tb, exec.Command("mvn", "-q", "-B", "-f", pom, "dependency:copy-dependencies", "-DincludeScope=runtime",
		"-DoutputDirectory="+dir))
	entries, err := os.ReadDir(dir) // sorted
	must(tb, err)
	list := sha256.New()
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name())) //nolint:gosec // G304: a file that Maven has put there
		must(tb, err)
		_, _ = fmt.Fprintf(list, "%s %x\n", e.Name(), sha256.Sum256(content))
	}
	if got := hex.EncodeToString(list.Sum(nil)); got != checksum {
		tb.Fatalf("%s: got %d files of SHA-256 %s, want %s", pom, len(entries), got, checksum)
	}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
