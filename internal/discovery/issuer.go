package discovery

import (
	"fmt"
	"net/url"
)

// Issuer is whose metadata are read, and where they may be.
type Issuer struct {
	Name   string     // as the metadata must say it, to the letter
	origin *url.URL   // what URLs in the metadata are held against
	places []*url.URL // where the metadata may be, in the order in which to ask
	plain  Plain      // which URLs may be http
}

// NewIssuer returns the issuer of that URL, whose metadata are at one of the usual places.
func NewIssuer(issuer string, plain Plain) (*Issuer, error) {
	origin, err := ParseIssuer(issuer, plain)
	if err != nil {
		return nil, err
	}
	return &Issuer{Name: issuer, origin: origin, places: Locations(origin), plain: plain}, nil
}

// NewIssuerAt returns an issuer whose metadata are at that URL. Its name need not be a URL.
func NewIssuerAt(issuer, metadataURL string, plain Plain) (*Issuer, error) {
	place, err := ParseURL(metadataURL, plain)
	if err != nil {
		return nil, err
	}
	return &Issuer{Name: issuer, origin: place, places: []*url.URL{place}, plain: plain}, nil
}

// Location returns the URL in one member of the issuer's own metadata. Aliased, the one for callers with a certificate
// comes first (RFC 8705, section 5).
func (i *Issuer) Location(body []byte, member string, aliased bool) (*url.URL, error) {
	said, err := Member(body, i.Name, member, aliased)
	if err != nil {
		return nil, err
	}
	u, err := ParseMember(said, i.origin, i.plain)
	switch {
	case said == "":
		return nil, fmt.Errorf("metadata: no %s: %w", member, err)
	case err != nil:
		return nil, fmt.Errorf("metadata: %s: %w", member, err)
	}
	return u, nil
}
