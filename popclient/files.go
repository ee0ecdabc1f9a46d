package popclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"
)

const (
	maxFile = 1 << 20 // in bytes

	// settled is the age from which a file's time tells it from a later one. Before, it may be written again without a
	// trace: file systems count in ticks.
	settled = 2 * time.Second
)

// files are read again when one of them is another one than before.
type files struct {
	paths []string
	load  func(content [][]byte) (*tls.Certificate, error)

	mu      sync.Mutex
	read    []fs.FileInfo // of what current was made of; nil if the files have to be read again in any case
	current *tls.Certificate
}

func (f *files) certificate(context.Context) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	// Looked at before they are read: whatever is written meanwhile makes them different the next time.
	now := time.Now()
	infos := make([]fs.FileInfo, len(f.paths))
	for i, path := range f.paths {
		var err error
		if infos[i], err = os.Stat(path); err != nil {
			return nil, err
		}
	}
	if f.same(infos) {
		return f.current, nil
	}
	f.read = nil
	content := make([][]byte, len(f.paths))
	for i, path := range f.paths {
		var err error
		if content[i], err = readFile(path, infos[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	c, err := f.load(content)
	if err == nil {
		c, err = checkCertificate(c)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.paths[0], err) // the first, the other is named where it is the other's
	}
	f.current = c
	for _, info := range infos {
		if now.Sub(info.ModTime()) < settled {
			return c, nil
		}
	}
	f.read = infos
	return c, nil
}

func (f *files) same(infos []fs.FileInfo) bool {
	if f.read == nil {
		return false
	}
	for i, info := range infos {
		if old := f.read[i]; !os.SameFile(info, old) || info.Size() != old.Size() || !info.ModTime().Equal(old.ModTime()) {
			return false
		}
	}
	return true
}

func readFile(path string, info fs.FileInfo) ([]byte, error) {
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	open, err := os.Open(path) //nolint:gosec // G304: the path is the configuration's
	if err != nil {
		return nil, err
	}
	defer func() { _ = open.Close() }()
	data, err := io.ReadAll(io.LimitReader(open, maxFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > maxFile:
		return nil, fmt.Errorf("more than %d bytes", maxFile)
	}
	return data, nil
}
