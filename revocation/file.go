package revocation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"
)

const (
	// lateness is how much later than Reread a changed file may count: a request that finds it not looked at for longer
	// waits for that.
	lateness = 10 * time.Second

	// settled is the age from which a file's time tells it from a later one. Before, it may be written again without a
	// trace: file systems count in ticks.
	settled = 2 * time.Second

	// maxReading is how long a file may take to be read. After that it is one that can't be.
	maxReading = time.Minute
)

// lateError tells that a file had to be read before it could say something, and that there was no time.
type lateError struct {
	path  string
	cause error
}

func (e *lateError) Error() string {
	return fmt.Sprintf("%s wasn't looked at for long, and takes longer to read than there is time: "+
		"split the file, or raise Options.Timeout: %v", e.path, e.cause)
}

func (e *lateError) Unwrap() error { return e.cause }

// file is one of Options.Files, and what it held when it was last read.
type file struct {
	path    string
	options Options

	mu     sync.Mutex
	lists  []*list
	looked time.Time     // when the last look began
	flight chan struct{} // closed when the look under way ends; nil: there is none
	began  time.Time     // of the look under way, by the real clock
	told   bool          // that it takes too long

	// One look at a time has these.
	read    fs.FileInfo // of what lists were made of; nil: to be read again
	sighted fs.FileInfo // when it was read last
	since   time.Time   // when it was read first that way
}

func unchanged(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

func newFile(path string, o Options) (*file, error) {
	f := &file{path: path, options: o}
	now := o.Now()
	lists, err := f.load(nil)
	f.lists, f.looked = lists, now
	return f, err
}

// current returns the file's lists, and has them read again if the file is another one than before. That is done beside
// the requests. One that comes after a long time without any waits for it, since the file may have changed long ago, as
// long as ctx allows. An error tells that this wasn't long enough: then the lists acquit nobody.
func (f *file) current(ctx context.Context, now time.Time) ([]*list, error) {
	f.mu.Lock()
	age, ok := since(f.looked, now)
	if f.flight == nil && (!ok || age >= f.options.Reread) {
		f.flight, f.began, f.told = make(chan struct{}), time.Now(), false
		go f.look(f.flight, now)
	}
	flight, lists := f.flight, f.lists
	late := flight != nil && (!ok || age >= f.options.Reread+lateness)
	stuck := late && time.Since(f.began) >= maxReading
	tell := stuck && !f.told
	f.told = f.told || stuck
	f.mu.Unlock()
	if tell {
		f.options.Logger.Warn("CRL file not read again, the last one stays in force",
			slog.String("path", f.path), slog.String("error", fmt.Sprintf("still being read after %v", maxReading)))
	}
	if !late || stuck {
		return lists, nil
	}
	select {
	case <-flight:
	case <-ctx.Done():
		select {
		case <-flight: // at the same time
		default:
			return lists, &lateError{f.path, context.Cause(ctx)}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lists, nil
}

// look reads the file again, if it is another one.
func (f *file) look(flight chan struct{}, now time.Time) {
	f.mu.Lock()
	before := f.lists
	f.mu.Unlock()
	lists, err := before, errors.New("the reading did not end")
	defer func() {
		if p := recover(); p != nil { // it would end the process, not one request
			lists, err = before, fmt.Errorf("the reading panicked: %v", p)
		}
		f.mu.Lock()
		f.looked, f.flight = now, nil
		if err == nil {
			f.lists = lists
		}
		f.mu.Unlock()
		close(flight)
		if err != nil { // with nothing held, since a log may call this very process
			f.options.Logger.Warn("CRL file not read again, the last one stays in force",
				slog.String("path", f.path), slog.String("error", err.Error()))
		}
	}()
	lists, err = f.load(before)
}

// load returns the lists of the file; before, if it is the same.
func (f *file) load(before []*list) ([]*list, error) {
	at := time.Now() // before the file is looked at: what is written from here on must not go unnoticed
	info, err := os.Stat(f.path)
	switch {
	case err != nil:
		return before, err
	case f.read != nil && unchanged(info, f.read):
		return before, nil
	case !info.Mode().IsRegular():
		return before, errors.New("not a regular file")
	}
	open, err := os.Open(f.path)
	if err != nil {
		return before, err
	}
	defer func() { _ = open.Close() }()
	if info, err = open.Stat(); err != nil {
		return before, err
	}
	data, err := io.ReadAll(io.LimitReader(open, maxFileSize+1))
	switch {
	case err != nil:
		return before, err
	case len(data) > maxFileSize:
		return before, fmt.Errorf("more than %d bytes", maxFileSize)
	}
	lists, err := parseLists(data)
	if err != nil {
		return before, fmt.Errorf("%s: %w", f.path, err)
	}
	f.read = nil
	if f.sighted == nil || !unchanged(info, f.sighted) {
		f.sighted, f.since = info, at
	}
	// Also where the file's time is ahead of this machine's: whatever was written later has another by now.
	if at.Sub(info.ModTime()) >= settled || at.Sub(f.since) >= settled {
		f.read = info
	}
	return f.replace(before, lists), nil
}
