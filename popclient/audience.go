package popclient

import (
	"encoding/base64"
	"log/slog"
	"slices"
	"strings"

	"github.com/seed-171ab058/popauth/internal/discovery"
)

// compareAudience tells the log of Resources that had no effect, as far as a token that is a JWT shows: the server may have
// ignored them, and said nothing. It decides nothing: a token is the API's to read, and a name of its own may be as good.
func (m *MutualTLS) compareAudience(access string) {
	asked := m.options.Params["resource"]
	if len(asked) == 0 || m.options.Logger == nil {
		return
	}
	aud, ok := audienceOf(access)
	missing := slices.DeleteFunc(slices.Clone(asked), func(s string) bool { return slices.Contains(aud, s) })
	text := ""
	if ok && len(missing) > 0 {
		text = shown(aud)
	}
	m.mu.Lock()
	known := m.audience == text
	m.audience = text
	m.mu.Unlock()
	if text != "" && !known {
		m.journal.add(slog.LevelWarn, "Resources without effect: the server has to set the token's aud, see MutualTLSOptions.Resources",
			slog.String("missing", shown(missing)), slog.String("aud", text))
	}
}

// audienceOf is the aud of what looks like a JWT.
func audienceOf(access string) ([]string, bool) {
	parts := strings.Split(access, ".")
	if len(parts) != 3 {
		return nil, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, false
	}
	if list, err := discovery.ListOf(payload, "aud"); err == nil {
		return list, true
	}
	one, err := discovery.MemberOf(payload, "aud")
	if err != nil {
		return nil, false
	}
	return []string{one}, true
}
