package dpop

import (
	"net/http"
	"strings"
	"time"
)

// KnownHeader tells whether c has kept what the header of r's proof says.
func KnownHeader(c *Confirmer, r *http.Request) bool {
	segment, _, _ := strings.Cut(r.Header.Get("DPoP"), ".")
	return c.signers.Find(segment) != nil
}

// Remembers is how long c keeps the id of a proof.
func Remembers(c *Confirmer) time.Duration { return c.options.Remember }
