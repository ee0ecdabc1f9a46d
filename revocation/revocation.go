// Package revocation finds out whether a certificate has been revoked: by files with CRLs (RFC 5280), and by OCSP
// (RFC 6960) or the CRL distribution points that the certificate names. It fits clientcert.Verification:
//
//	checker, err := revocation.New(revocation.Options{Files: []string{"/etc/pki/clients.crl"}})
//	source, err := clientcert.Verified(popauth.TLSCertificate(), clientcert.Verification{Roots: roots, Revoked: checker.Revoked})
//
// # What counts
//
// A statement counts if the issuer's key has signed it, whichever certificate of that key a request came with. A
// revocation counts for good, also after its nextUpdate, unless the reason is certificateHold. A good answer counts while
// it is current: docs/withdrawal.md says how late a revocation may be noticed. An older statement never replaces a newer
// one, even if the newer one has expired.
//
// # Who is asked, and for how long
//
// The certificates of a chain are checked from the root downwards. Each has half of the remaining time, the last one all
// of it, and its sources share that equally; time left over goes to the slow ones. So the addresses in one certificate
// can't use up the time of those above it, nor that of another source of the same certificate. Once an authority is known
// to be revoked, nothing below it is asked.
//
// An authority that has renewed its key signs lists with the new one, also for certificates that the old one signed.
// Such a list counts if Options.ListSigners has the authority's new certificate, unless that is known to be revoked.
//
// # Where it connects to
//
// Addresses come only from certificates with a verified path to a root, so a stranger can't choose where this process
// connects to. Nor can an authority make it connect to addresses that aren't public: see Options.InternalAddresses.
//
// At most 64 OCSP answers and 16 lists are fetched at once. One authority, with all that it has certified in turn, gets a
// quarter of these at most, one host half; a quarter is reserved for certificates that were good lately. So an authority
// whose servers don't answer delays only its own clients. A request that gets no place is told so in its error.
//
// Keys of RSA with more than 8192 bits are ignored. Of a certificate's distribution points the first 16 are used.
//
// It is a package of its own so that only its users link golang.org/x/crypto/ocsp.
package revocation

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"
)

// Options configure a Checker. What knows an answer is asked in the order Files, OCSP, DistributionPoints, until one
// knows. Without any of them there is nothing to ask, and New returns an error.
type Options struct {
	_ [0]func()

	// Files are CRLs, in DER or PEM, several to a file in PEM; of several of one authority and scope the newest counts. They
	// are read again when they change, beside the requests. A list that is missing then, older than before, or not signed
	// by whoever had signed it, leaves the one before in force until its nextUpdate, as does a file that can't be read; what
	// it revokes stays revoked. The log says so. If nil, none.
	Files []string

	// Reread is how often at most Files are looked at. A changed file counts at most Reread and 10 s later: a request that
	// comes after a longer time without any waits until the file has been read. Where Timeout isn't enough for that, the
	// certificate is unknown. A file that takes longer than a minute is one that can't be read. If zero, 10 s; at most 1 h.
	Reread time.Duration

	// OCSP asks the responders that a certificate names. GODEBUG=fips140=only forbids the SHA-1 by which a question names
	// the issuer; it is SHA-256 then, and responders that don't know that say nothing.
	OCSP bool

	// DistributionPoints fetches the CRLs that a certificate names.
	DistributionPoints bool

	// ListSigners are certificates of authorities that sign lists with another key than the one that has signed the
	// certificates on them, as after a renewal of the key. One counts for lists of an issuer of the same name, if
	// whoever certified that issuer has certified it too; where the issuer is the root, if the root has. It is asked
	// about as other certificates are: one that is revoked doesn't count, one whose state is unknown does. If nil, none.
	ListSigners []*x509.Certificate

	// AllowUnknown lets a certificate pass whose state can't be found out: its sources can't be reached in time, are out
	// of date, don't know it, or it names none. Without it, such a request is refused. A revoked one is refused if any
	// source says so in its share of the time, or has said so before.
	AllowUnknown bool

	// MaxAge is how old an answer or list may be that was fetched, counted from the fetch. A request that finds an older
	// one waits for a new one. The old one counts, until its nextUpdate, only if its source has failed, or has been asked
	// for an eighth of Timeout and longer: not where it couldn't be asked, nor where the request ended before. While a
	// source fails, one request at a time waits for it, the others go by the old one. Where requests come all the time, a
	// new one is fetched beside them before. If zero, 1 h; at least 1 min, at most 24 h.
	MaxAge time.Duration

	// MaxMemory bounds the memory for what was fetched, in bytes: three quarters for lists, one for OCSP answers. What
	// was used last stays. A list takes about as many bytes as its serial numbers have together, and 1.5 kB. If zero,
	// 32 MiB; at least 1 MiB.
	//
	// A list that is being fetched takes memory beside that until its signature has been checked: four times the longest
	// list that is read, for all lists together. The longest is 16 MiB, or four times MaxMemory if that is less.
	MaxMemory int

	// Timeout bounds how long a request waits, for all certificates of its chain, and all of its ways to a root, together.
	// If zero, 5 s; at most 30 s.
	Timeout time.Duration

	// InternalAddresses allows to connect to loopback, private and other addresses that are not public, which is what
	// the responders of an authority of one's own often have. Without it, whoever chooses the URLs in a certificate
	// would reach services that trust this host or network. Link-local addresses and those of clouds' metadata
	// services are never connected to, nor what leads there, such as NAT64. What counts is the address that is dialled,
	// whatever its name.
	InternalAddresses bool

	// Client fetches. Redirects to another host are not followed, whatever it says. InternalAddresses doesn't hold for
	// it, nor for what a proxy connects to. If nil, one that keeps no connections, with the proxy of the environment.
	Client *http.Client

	// Logger gets a warning where AllowUnknown let a certificate pass, where a file can't be read again, and where a list
	// in it doesn't take the place of the one before. If nil, nothing is logged.
	Logger *slog.Logger

	// Now is the clock. If nil, time.Now.
	Now func() time.Time
}

const (
	defaultReread, maxReread         = 10 * time.Second, time.Hour
	defaultTimeout, maxTimeout       = 5 * time.Second, 30 * time.Second
	defaultAge, leastAge, maxAge     = time.Hour, time.Minute, 24 * time.Hour
	pause, maxPause                  = 10 * time.Second, 10 * time.Minute // before what failed is tried again
	skew                             = 5 * time.Minute                    // that the authority's clock may be ahead
	defaultMemory, leastMemory       = 32 << 20, 1 << 20
	maxListSize, maxAnswerSize       = 16 << 20, 64 << 10
	maxListsAtOnce, maxAnswersAtOnce = 16, 64
	maxFileSize                      = 64 << 20
	maxAddresses                     = 4 // of one kind are tried per certificate
)

// Checker answers for clientcert.Verification.Revoked. It is safe for concurrent use; New makes one. No goroutine of it
// outlives Options.Timeout, or the reading of a file, so there is nothing to close.
type Checker struct {
	options   Options
	client    *http.Client
	files     []*file
	lists     *remote[*list]
	answers   *remote[*answer]
	hosts     hosts
	bodies    *bodies
	withdrawn withdrawn
	asked     asked
}

// New makes a Checker, and reads the files. The error lists every problem.
func New(o Options) (*Checker, error) {
	var wrong []error
	problem := func(field, format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("revocation: Options."+field+": "+format, args...))
	}
	bounded := func(field string, d *time.Duration, otherwise, least, most time.Duration) {
		switch {
		case *d == 0:
			*d = otherwise
		case *d < least || *d > most:
			problem(field, "%v is not between %v and %v", *d, least, most)
		}
	}
	bounded("Reread", &o.Reread, defaultReread, 0, maxReread)
	bounded("Timeout", &o.Timeout, defaultTimeout, 0, maxTimeout)
	bounded("MaxAge", &o.MaxAge, defaultAge, leastAge, maxAge)
	switch {
	case o.MaxMemory == 0:
		o.MaxMemory = defaultMemory
	case o.MaxMemory < leastMemory:
		problem("MaxMemory", "%d is less than %d bytes", o.MaxMemory, leastMemory)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if len(o.Files) == 0 && !o.OCSP && !o.DistributionPoints {
		problem("Files", "without Files, OCSP or DistributionPoints there is nothing to ask")
	}
	o.ListSigners = slices.Clone(o.ListSigners)
	for i, s := range o.ListSigners {
		if s == nil || !maySignLists(s) {
			problem("ListSigners", "entry %d is not the certificate of an authority that may sign lists (basicConstraints CA, "+
				"keyUsage cRLSign)", i)
		}
	}
	c := &Checker{options: o, client: clientFrom(o), bodies: newBodies(o)}
	for i, path := range o.Files {
		f, err := newFile(path, o)
		if err != nil {
			problem("Files", "entry %d: %w", i, err)
		}
		c.files = append(c.files, f)
	}
	c.lists = newRemote[*list](o, o.MaxMemory/4*3, maxListsAtOnce)
	c.answers = newRemote[*answer](o, o.MaxMemory/4, maxAnswersAtOnce)
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	return c, nil
}
