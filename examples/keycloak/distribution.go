package main

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// The version that is downloaded, unless there is one already.
const (
	keycloakVersion  = "26.7.3"
	keycloakChecksum = "27a6535553c3cdcd083872ba40629efafb3475e3b758e0c6f691395561dd0f1f" // SHA-256
	keycloakURL      = "https://repo.maven.apache.org/maven2/org/keycloak/keycloak-quarkus-dist/" +
		keycloakVersion + "/keycloak-quarkus-dist-" + keycloakVersion + ".zip"
)

// archive is a file to download. Nothing of it is used unless it has this SHA-256.
type archive struct{ url, checksum string }

// distribution is a copy of Keycloak that this run may write to: of the one in home, or of the one downloaded.
func (w *world) distribution(ctx context.Context, home string) (string, error) {
	if err := findJava(); err != nil {
		return "", err
	}
	if home == "" {
		cache, err := cacheDir()
		if err != nil {
			return "", err
		}
		home = filepath.Join(cache, "example-keycloak-"+keycloakVersion)
		if _, err := os.Stat(home); errors.Is(err, fs.ErrNotExist) {
			if err := w.install(ctx, archive{keycloakURL, keycloakChecksum}, home); err != nil {
				return "", err
			}
		}
	}
	if _, err := os.Stat(filepath.Join(home, "bin", "kc.sh")); err != nil {
		return "", fmt.Errorf("no Keycloak in %s: %w; set KC_HOME to the directory that has bin/kc.sh, or to nothing", home, err)
	}
	w.say("keycloak      %s", home)
	own := w.path("keycloak")
	return own, copyDistribution(own, home)
}

func findJava() error {
	name := "java"
	if home := os.Getenv("JAVA_HOME"); home != "" {
		name = filepath.Join(home, "bin", "java")
	}
	if _, err := exec.LookPath(name); err != nil {
		return fmt.Errorf("%w: Keycloak needs Java 17 or newer (apt-get install default-jre-headless, brew install openjdk)", err)
	}
	return nil
}

// cacheDir is where the tests keep their counterparts, too.
func cacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if own := os.Getenv("POPAUTH_CACHE"); own != "" {
		dir, err = filepath.Abs(own)
		return dir, err
	}
	return filepath.Join(dir, "popauth"), err
}

// install downloads, unpacks and builds Keycloak. The directory gets its name at the end, so that a half is never used.
func (w *world) install(ctx context.Context, a archive, home string) error {
	if err := os.MkdirAll(filepath.Dir(home), 0o750); err != nil {
		return err
	}
	part, err := os.MkdirTemp(filepath.Dir(home), "example-keycloak-part-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(part) }()
	w.say("downloading   %s, once", a.url)
	file := filepath.Join(part, "keycloak.zip")
	if err := a.download(ctx, file); err != nil {
		return err
	}
	unpacked := filepath.Join(part, "keycloak")
	if err := unpack(file, unpacked); err != nil {
		return err
	}
	w.say("building it, once (kc.sh %s)", strings.Join(buildOptions("build"), " "))
	if err := w.command(unpacked, buildOptions("build")...).run(ctx); err != nil {
		return err
	}
	if err := os.Rename(unpacked, home); err != nil && !exists(home) { // another run may have been faster
		return err
	}
	return nil
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

func (a archive) download(ctx context.Context, name string) (err error) {
	ctx, stop := context.WithTimeout(ctx, 20*time.Minute)
	defer stop()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url, http.NoBody)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: got %s", a.url, answer.Status)
	}
	file, err := os.Create(name) //nolint:gosec // G304: a name of this program's
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	h := sha256.New()
	if _, err := io.Copy(io.MultiWriter(file, h), answer.Body); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != a.checksum {
		return fmt.Errorf("%s: got SHA-256 %s, want %s; nothing of it is used", a.url, got, a.checksum)
	}
	return nil
}

// unpack unpacks the archive's one directory as to. Only an archive whose checksum was right comes here.
func unpack(name, to string) error {
	z, err := zip.OpenReader(name)
	if err != nil {
		return err
	}
	defer func() { _ = z.Close() }()
	for _, f := range z.File {
		_, inner, _ := strings.Cut(strings.TrimSuffix(f.Name, "/"), "/")
		if inner == "" || f.FileInfo().IsDir() {
			continue
		}
		if !filepath.IsLocal(inner) || !f.Mode().IsRegular() {
			return fmt.Errorf("%s: the entry %q is no file inside of it", name, f.Name)
		}
		if err := unpackFile(f, filepath.Join(to, inner)); err != nil {
			return err
		}
	}
	return nil
}

func unpackFile(f *zip.File, to string) error {
	from, err := f.Open()
	if err != nil {
		return err
	}
	defer from.Close()
	return write(to, from, f.Mode().Perm())
}

func write(to string, from io.Reader, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
		return err
	}
	file, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, mode) //nolint:gosec // G304: a name of this program's
	if err != nil {
		return err
	}
	_, err = io.Copy(file, from)
	return errors.Join(err, file.Close())
}

// copyDistribution copies Keycloak without its data and its keycloak.conf, which are another server's. Libraries are
// hard links, where the file system allows: Keycloak reads them, and writes to lib/quarkus alone.
func copyDistribution(to, from string) error {
	return filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		inner, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		switch slash := filepath.ToSlash(inner); {
		case slash == "data":
			return filepath.SkipDir
		case slash == "conf/keycloak.conf":
			return nil
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, inner), 0o750)
		case strings.HasPrefix(slash, "lib/") && !strings.HasPrefix(slash, "lib/quarkus/"):
			if os.Link(name, filepath.Join(to, inner)) == nil { //nolint:gosec // G122: the user's own directory
				return nil
			}
		}
		return copyFile(filepath.Join(to, inner), name)
	})
}

func copyFile(to, name string) error {
	from, err := os.Open(name) //nolint:gosec // G304: a file of the user's Keycloak
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	info, err := from.Stat()
	if err != nil {
		return err
	}
	return write(to, from, info.Mode().Perm()|0o200)
}
