package release

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
	"golang.org/x/mod/sumdb/dirhash"
)

// Placeholder is the version of the tree's own modules before the first release. Nobody has it.
const Placeholder = "v0.0.0"

// Form writes go.mod and go.sum of each module that is released, as they are at a version: they require the tree's other
// modules at the same one, with their checksums, and replace nothing. The root's files stay as they are, so that its tag may be on
// the commit that has the others'.
func Form(tree, version string) error {
	if err := canonical(version); err != nil {
		return err
	}
	modules, err := Modules(tree)
	if err != nil {
		return err
	}
	sums := map[string]sums{}
	for _, m := range modules {
		if err := m.require(tree, version); err != nil {
			return err
		}
		if err := m.sum(tree, version, sums); err != nil {
			return err
		}
		if sums[m.Path], err = m.sums(tree, version); err != nil {
			return err
		}
	}
	return nil
}

// canonical is what go.mod may have as a version: with all three numbers, and without +metadata, which Go drops.
func canonical(version string) error {
	if version == "" || semver.Canonical(version) != version {
		return fmt.Errorf("version: got %q, want one like v1.2.3 or v1.2.3-rc.1", version)
	}
	return nil
}

// require drops what finds the tree's modules in their directories, and requires them by a version.
func (m Module) require(tree, version string) error {
	name := m.file(tree, "go.mod")
	f, err := read(name)
	if err != nil {
		return err
	}
	for _, r := range slices.Clone(f.Replace) {
		if own(r.Old.Path) {
			if err := f.DropReplace(r.Old.Path, r.Old.Version); err != nil {
				return err
			}
		}
	}
	for _, path := range m.Own {
		if err := f.AddRequire(path, version); err != nil {
			return err
		}
	}
	if err := write(name, f); err != nil {
		return err
	}
	return Released(name, modfile.Format(f.Syntax))
}

func write(name string, f *modfile.File) error {
	f.Cleanup()
	b, err := f.Format()
	if err != nil {
		return err
	}
	return os.WriteFile(name, b, 0o644) //nolint:gosec // as git has it
}

// Back has every module of the tree, released or not, require the tree's others at a version that is released, and find them in
// their directories: whoever takes a commit, or copies an example and deletes its replace directive, gets that version.
func Back(tree, version string) error {
	if err := canonical(version); err != nil {
		return err
	}
	all, err := inTree(tree)
	if err != nil {
		return err
	}
	for _, m := range all {
		if len(m.Own) == 0 {
			continue
		}
		f, err := read(m.file(tree, "go.mod"))
		if err != nil {
			return err
		}
		for _, path := range m.Own {
			if err := f.AddRequire(path, version); err != nil {
				return err
			}
		}
		if err := write(m.file(tree, "go.mod"), f); err != nil {
			return err
		}
	}
	return nil
}

// Released says why a go.mod is none that others can use.
func Released(name string, text []byte) error {
	f, err := modfile.Parse(name, text, nil)
	if err != nil {
		return err
	}
	if len(f.Replace) > 0 {
		r := f.Replace[0]
		return fmt.Errorf("%s: got a replace directive, %s => %s, want none: go install refuses it, and others don't get it",
			name, r.Old, r.New)
	}
	for _, r := range f.Require {
		if own(r.Mod.Path) && r.Mod.Version == Placeholder {
			return fmt.Errorf("%s: got %s, want a version that is released: nobody has that one", name, r.Mod)
		}
	}
	return nil
}

// sums are the checksums of a module's files, and of its go.mod.
type sums struct{ zip, mod string }

func (m Module) sums(tree, version string) (sums, error) {
	dir, err := os.MkdirTemp("", "popauth-release")
	if err != nil {
		return sums{}, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	name := filepath.Join(dir, "zip")
	if err := m.zip(tree, version, name); err != nil {
		return sums{}, err
	}
	var s sums
	if s.zip, err = dirhash.HashZip(name, dirhash.Hash1); err != nil {
		return sums{}, err
	}
	s.mod, err = dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) {
		return os.Open(m.file(tree, "go.mod"))
	})
	return s, err
}

// sum writes go.sum with the checksums of the tree's modules, which are those of known.
func (m Module) sum(tree, version string, known map[string]sums) error {
	name := m.file(tree, "go.sum")
	old, err := os.ReadFile(name) //nolint:gosec // a go.sum of the tree that the command is given
	if os.IsNotExist(err) && len(m.Own) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	type line struct {
		version module.Version
		hash    string
	}
	var lines []line
	for text := range strings.Lines(string(old)) {
		parts := strings.Fields(text)
		if len(parts) != 3 {
			return fmt.Errorf("%s: got %q, want a module, a version and a checksum", name, text)
		}
		if !own(parts[0]) {
			lines = append(lines, line{module.Version{Path: parts[0], Version: parts[1]}, parts[2]})
		}
	}
	for _, path := range m.Own {
		lines = append(lines, line{module.Version{Path: path, Version: version}, known[path].zip},
			line{module.Version{Path: path, Version: version + "/go.mod"}, known[path].mod})
	}
	versions := make([]module.Version, len(lines))
	hashes := make(map[module.Version]string, len(lines))
	for i, l := range lines {
		versions[i] = l.version
		hashes[l.version] = l.hash
	}
	module.Sort(versions)
	var b bytes.Buffer
	for _, v := range versions {
		fmt.Fprintf(&b, "%s %s %s\n", v.Path, v.Version, hashes[v])
	}
	return os.WriteFile(name, b.Bytes(), 0o644) //nolint:gosec // as git has it
}
