package clientcert

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-171ab058/popauth"
)

// RootsFileOptions are those of RootsFile. The zero value is good.
type RootsFileOptions struct {
	_ [0]func()

	// Keep is for how long the last good roots count where the file can't be read any more, or isn't roots: after that every
	// certificate is refused with 503. If zero, one hour; a negative one keeps nothing.
	Keep time.Duration

	// Logger gets a line for each set of roots that takes effect, and one for each reason why the file's can't. If nil,
	// slog.Default().
	Logger *slog.Logger

	// Now is the clock. If nil, time.Now.
	Now func() time.Time
}

const (
	keepRoots   = time.Hour
	lookAtRoots = time.Second
	maxRoots    = 4 << 20 // bytes

	// waitForRoots is the age from which a request waits for a look that another one is taking.
	waitForRoots = 10 * time.Second

	// settledRoots is the age from which a file's time tells it from a later one: file systems count in ticks.
	settledRoots = 2 * time.Second
)

// RootsFile returns a function for Verification.RootsFor: the roots are the certificates in a file in PEM, as it is now. The
// file is looked at beside the requests, once a second, and read again when it is another one, be it written anew, renamed
// or reached by another symbolic link, as the secrets are that Kubernetes mounts. A change counts for the next request after
// that second, on connections and sessions that have begun before, too.
//
// A file that is missing, empty or half-written does not empty the roots: what was good goes on to count, for Keep, since
// such a file says nothing about whom to trust, and each request would be refused while it is written. The Logger is told at
// once. To withdraw an authority, take it out and leave another in; to withdraw all, leave one that issues nothing.
//
// The error is that of the first reading. There is no goroutine and nothing to close.
func RootsFile(path string, o RootsFileOptions) (func(*http.Request, *x509.Certificate) (*x509.CertPool, error), error) {
	f := &rootsFile{path: path, o: o}
	if f.o.Keep == 0 {
		f.o.Keep = keepRoots
	}
	if f.o.Logger == nil {
		f.o.Logger = slog.Default()
	}
	if f.o.Now == nil {
		f.o.Now = time.Now
	}
	if err := f.read(); err != nil {
		return nil, fmt.Errorf("clientcert: RootsFile: %w", err)
	}
	now := f.o.Now()
	f.state.Store(&rootsState{pool: f.pool, good: now, looked: now})
	return f.roots, nil
}

type rootsFile struct {
	path string
	o    RootsFileOptions

	state atomic.Pointer[rootsState]

	reading sync.Mutex // the fields below
	info    fs.FileInfo
	content []byte
	pool    *x509.CertPool
	failure string // as it was logged last
}

// rootsState is what requests see.
type rootsState struct {
	pool         *x509.CertPool
	good, looked time.Time
	err          error // of the last look
}

func (f *rootsFile) roots(r *http.Request, _ *x509.Certificate) (*x509.CertPool, error) {
	s, now := f.state.Load(), f.o.Now()
	if f.due(s, now) {
		// Who finds somebody looking goes on with what there is, unless nobody has looked for long.
		looks := f.reading.TryLock()
		if past := now.Sub(s.looked); !looks && (past > waitForRoots || past < 0) {
			f.reading.Lock()
			looks = true
		}
		if looks {
			s = f.look(r.Context(), now)
			f.reading.Unlock()
		}
	}
	if s.err != nil && now.Sub(s.good) >= f.o.Keep {
		return nil, &popauth.Error{Reason: popauth.ErrUnavailable, Err: fmt.Errorf("roots last read %v ago: %w", now.Sub(s.good), s.err)}
	}
	return s.pool, nil
}

// due tells whether to look; by a clock that was set back, too.
func (f *rootsFile) due(s *rootsState, now time.Time) bool {
	past := now.Sub(s.looked)
	return past >= lookAtRoots || past < 0
}

// look reads the file again if it is due still. The caller holds reading.
func (f *rootsFile) look(ctx context.Context, now time.Time) *rootsState {
	last := f.state.Load()
	if !f.due(last, now) {
		return last
	}
	before := f.pool
	next := &rootsState{good: now, looked: now, err: f.read()}
	next.pool = f.pool
	switch {
	case next.err != nil:
		next.good = last.good
		if text := next.err.Error(); text != f.failure {
			f.failure = text
			f.o.Logger.LogAttrs(ctx, slog.LevelError, "roots can't be read: the last good ones count for as long as Keep says",
				slog.String("file", f.path), slog.String("error", text), slog.Time("read", next.good), slog.Duration("keep", f.o.Keep))
		}
	case f.pool != before || f.failure != "":
		f.failure = ""
		f.o.Logger.LogAttrs(ctx, slog.LevelInfo, "roots read", slog.String("file", f.path), slog.Bool("changed", f.pool != before))
	}
	f.state.Store(next)
	return next
}

// read makes a pool of the file, unless it has the content that it had.
func (f *rootsFile) read() error {
	now := time.Now() // by which files' times count
	// To open a pipe waits for its writer.
	if info, err := os.Stat(f.path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s: got %v, want a regular file", f.path, info.Mode().Type())
	}
	file, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat() // of what is read, whatever the name means by now
	switch {
	case err != nil:
		return err
	case f.same(info):
		return nil
	}
	f.info = nil
	content, err := io.ReadAll(io.LimitReader(file, maxRoots+1))
	if err != nil {
		return err
	}
	if f.pool == nil || !bytes.Equal(content, f.content) {
		pool, err := poolOf(content)
		if err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
		f.content, f.pool = content, pool
	}
	if now.Sub(info.ModTime()) >= settledRoots {
		f.info = info
	}
	return nil
}

func (f *rootsFile) same(info fs.FileInfo) bool {
	return f.info != nil && os.SameFile(info, f.info) && info.Size() == f.info.Size() && info.ModTime().Equal(f.info.ModTime())
}

// poolOf takes the whole of a text or nothing: encoding/pem passes over a block that it can't read.
func poolOf(content []byte) (*x509.CertPool, error) {
	if len(content) > maxRoots {
		return nil, fmt.Errorf("more than %d bytes", maxRoots)
	}
	pool, n := x509.NewCertPool(), 0
	begun := bytes.Count(content, []byte("-----BEGIN"))
	for rest := content; ; n++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("got a block %.40q, want none but CERTIFICATE", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", n+1, err)
		}
		pool.AddCert(c)
	}
	switch {
	case n != begun:
		return nil, fmt.Errorf("got %d complete blocks of %d that begin: cut off, or half-written", n, begun)
	case n == 0:
		return nil, errors.New("no certificate in it, want at least one in PEM")
	}
	return pool, nil
}
