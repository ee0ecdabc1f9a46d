package revocation

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"
)

// file is one of Options.Files, and what it held when it was last read.
type file struct {
	path string

	mu     sync.Mutex
	looked time.Time
	read   fs.FileInfo
	lists  []*list
}

// current returns the file's lists, having read them again if the file is another one than before.
func (f *file) current(now time.Time, every time.Duration, log *slog.Logger) []*list {
	f.mu.Lock()
	defer f.mu.Unlock()
	if age := now.Sub(f.looked); age >= every || age < 0 {
		f.looked = now
		if err := f.load(); err != nil {
			log.Warn("CRL file not read again, the last one stays in force", slog.String("path", f.path), slog.String("error", err.Error()))
		}
	}
	return f.lists
}

func (f *file) load() error {
	info, err := os.Stat(f.path)
	switch {
	case err != nil:
		return err
	case f.read != nil && os.SameFile(info, f.read) && info.Size() == f.read.Size() && info.ModTime().Equal(f.read.ModTime()):
		return nil
	case !info.Mode().IsRegular():
		return errors.New("not a regular file")
	}
	open, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer func() { _ = open.Close() }()
	if info, err = open.Stat(); err != nil {
		return err
	}
	data, err := io.ReadAll(io.LimitReader(open, maxFileSize+1))
	switch {
	case err != nil:
		return err
	case len(data) > maxFileSize:
		return fmt.Errorf("more than %d bytes", maxFileSize)
	}
	lists, err := parseLists(data)
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	f.read, f.lists = info, lists
	return nil
}
