package popauth

import (
	"crypto/sha256"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/seed-171ab058/popauth/internal/sampling"
)

// unboundLog says which clients come with tokens that are not bound, while that is announced and not yet required.
type unboundLog struct {
	logger  *slog.Logger // nil: slog.Default
	sampler *sampling.Sampler
}

// maxAnnounced is how many clients are told apart: where more come with unbound tokens, the others share a line.
const maxAnnounced = 1000

func newUnboundLog(logger *slog.Logger) unboundLog {
	return unboundLog{logger, &sampling.Sampler{PerPeriod: 1, MaxKinds: maxAnnounced}}
}

// key stands for an issuer's client. A client's name may be as long as a token, and a thousand of them are kept.
func (w who) key() string {
	sum := sha256.Sum256([]byte(strconv.Quote(w.issuer) + w.client))
	return string(sum[:])
}

// write writes a line for the client of a token, unless there was one in the last minute.
func (l unboundLog) write(r *http.Request, who who, scheme string) {
	write, left := l.sampler.Allow(who.key(), time.Now())
	if !write {
		return
	}
	logger := l.logger
	if logger == nil {
		logger = slog.Default()
	}
	attrs := []slog.Attr{slog.String("scheme", scheme)}
	attrs = append(attrs, who.attrs()...)
	if left > 0 {
		attrs = append(attrs, slog.Int("unlogged", left))
	}
	logger.LogAttrs(r.Context(), slog.LevelWarn, "token not bound: it will be refused when Options.Binding is BindingRequired", attrs...)
}
