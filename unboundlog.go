package popauth

import (
	"log/slog"
	"net/http"
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

// write writes a line for the client of a token, unless there was one in the last minute.
func (l unboundLog) write(r *http.Request, who who, scheme string) {
	write, left := l.sampler.Allow(who.issuer+" "+who.client, time.Now())
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
