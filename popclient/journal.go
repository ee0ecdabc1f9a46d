package popclient

import (
	"context"
	"log/slog"
	"sync"
)

// maxLines is how many lines wait for a log that hangs. Those that come after them are lost.
const maxLines = 64

// journal writes to a log beside the requests, in order. Whoever waits for a token or a certificate doesn't wait for a log,
// and one that panics doesn't end the process. A log that hangs holds one goroutine.
type journal struct {
	logger *slog.Logger // nil: nothing is logged

	mu      sync.Mutex
	lines   []line
	writing bool
}

type line struct {
	level slog.Level
	text  string
	attrs []slog.Attr
}

func (j *journal) add(level slog.Level, text string, attrs ...slog.Attr) {
	if j.logger == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.lines) >= maxLines {
		return
	}
	j.lines = append(j.lines, line{level, text, attrs})
	if !j.writing {
		j.writing = true
		go j.write()
	}
}

func (j *journal) write() {
	defer func() { // a handler may have ended the goroutine
		j.mu.Lock()
		defer j.mu.Unlock()
		if j.writing = len(j.lines) > 0; j.writing {
			go j.write()
		}
	}()
	for {
		j.mu.Lock()
		if len(j.lines) == 0 {
			j.mu.Unlock()
			return
		}
		next := j.lines[0]
		j.lines = j.lines[1:]
		j.mu.Unlock()
		j.print(next)
	}
}

func (j *journal) print(l line) {
	defer func() { _ = recover() }() // there is no other log to tell
	j.logger.LogAttrs(context.Background(), l.level, l.text, l.attrs...)
}
