package revocation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
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
)

// file is one of Options.Files, and what it held when it was last read.
type file struct {
	path    string
	options Options

	mu     sync.Mutex
	lists  []*list
	looked time.Time     // when the last look began
	flight chan struct{} // closed when the look under way ends; nil: there is none
	began  time.Time     // of the look under way, by the real clock

	read fs.FileInfo // of what lists were made of; nil: to be read again. One look at a time has it.
}

func newFile(path string, o Options) (*file, error) {
	f := &file{path: path, options: o}
	now := o.Now()
	lists, err := f.load(nil)
	f.lists, f.looked = lists, now
	return f, err
}

// current returns the file's lists, and has them read again if the file is another one than before. That is done beside
// the requests. One that comes after a long time without any waits for it: the file may have changed long ago.
func (f *file) current(ctx context.Context, now time.Time) []*list {
	f.mu.Lock()
	age, ok := since(f.looked, now)
	if f.flight == nil && (!ok || age >= f.options.Reread) {
		f.flight, f.began = make(chan struct{}), time.Now()
		go f.look(f.flight, now)
	}
	flight, lists := f.flight, f.lists
	late := (!ok || age >= f.options.Reread+lateness) && time.Since(f.began) < f.options.Timeout
	f.mu.Unlock()
	if flight == nil || !late {
		return lists
	}
	patience := time.NewTimer(f.options.Timeout / 2) // the rest is for what else is asked
	defer patience.Stop()
	select {
	case <-flight:
	case <-patience.C: // a file that can't be read leaves the one before in force
	case <-ctx.Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lists
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
	case f.read != nil && os.SameFile(info, f.read) && info.Size() == f.read.Size() && info.ModTime().Equal(f.read.ModTime()):
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
	if older := f.prepare(lists, before); older != nil {
		return before, fmt.Errorf("%s: %w", f.path, older)
	}
	if at.Sub(info.ModTime()) >= settled {
		f.read = info
	}
	return lists, nil
}

// prepare checks the signatures of new lists, as far as it is known from whom they will be seen, and finds one that is
// older than the one before, which a program that copies lists may bring back.
func (f *file) prepare(lists, before []*list) error {
	now := f.options.Now()
	for _, old := range before {
		for _, l := range lists {
			if !l.replaces(old) {
				continue
			}
			if l.this.Before(old.this) && current(now, old) {
				return fmt.Errorf("a CRL of %s, older than the one before, of %s",
					l.this.UTC().Format(time.RFC3339), old.this.UTC().Format(time.RFC3339))
			}
			for _, made := range old.seenFrom() {
				l.signatureFor(from(made.issuer, made.above), f.options.signers)
			}
		}
	}
	return nil
}

// replaces tells whether two lists are of one kind, and the one takes the place of the other.
func (l *list) replaces(old *list) bool {
	return bytes.Equal(l.issuer, old.issuer) && bytes.Equal(l.authorityKey, old.authorityKey) &&
		l.scope.users == old.scope.users && l.scope.authorities == old.scope.authorities && slices.Equal(l.scope.points, old.scope.points)
}

func (l *list) seenFrom() []signature {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]signature, 0, len(l.made))
	for _, made := range l.made {
		all = append(all, made)
	}
	return all
}
