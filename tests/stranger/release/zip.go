package release

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// inDir is a file of a module, and where it lies.
type inDir struct{ name, at string }

func (f inDir) Path() string                 { return f.name }
func (f inDir) Lstat() (fs.FileInfo, error)  { return os.Lstat(f.at) }
func (f inDir) Open() (io.ReadCloser, error) { return os.Open(f.at) }

// zip writes the module's files as Go makes them of a repository: those of its directory but not of modules below, and the
// repository's licence where the module has none of its own.
func (m Module) zip(tree, version, name string) (err error) {
	checked, err := zip.CheckDir(m.file(tree, ""))
	if err != nil {
		return err
	}
	var files []zip.File
	licensed := false
	for _, f := range checked.Valid {
		rel, err := filepath.Rel(m.file(tree, ""), f)
		if err != nil {
			return err
		}
		if rel == ".git" { // a file, in a working tree of git's that is not its first
			continue
		}
		licensed = licensed || rel == "LICENSE"
		files = append(files, inDir{filepath.ToSlash(rel), f})
	}
	if !licensed {
		files = append(files, inDir{"LICENSE", filepath.Join(tree, "LICENSE")})
	}
	out, err := os.Create(name) //nolint:gosec // below a directory of this command's own
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	return zip.Create(out, module.Version{Path: m.Path, Version: version}, files)
}
