package clientcert

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/dn"
)

func must(m Match, err error) Match {
	if err != nil {
		panic(err.Error())
	}
	return m
}

// parseNames makes a Match of distinguished names, one of which the certificate must have where raw finds it.
func parseNames(function, what string, raw func(*x509.Certificate) []byte, names []string) (Match, error) {
	if len(names) == 0 || slices.Contains(names, "") {
		return Match{}, fmt.Errorf("clientcert: %s: an empty value allows nothing", function)
	}
	want := make([]dn.Name, len(names))
	for i, s := range names {
		n, err := dn.Parse(s)
		if err != nil {
			return Match{}, fmt.Errorf("clientcert: %s: %q: %w", function, s, err)
		}
		want[i] = n
	}
	return Match{allow: func(_ *http.Request, c *popauth.Certificate, _ bool) error {
		if err := identified(c); err != nil {
			return err
		}
		have, err := dn.ParseDER(raw(c.Leaf))
		switch {
		case err != nil:
			err = fmt.Errorf("another %s, which can't be read: %w", what, err)
		case !slices.ContainsFunc(want, have.Equal):
			err = errors.New("another " + what + ": " + dn.Another(want, have))
		default:
			return nil
		}
		return &popauth.Error{Reason: popauth.ErrForbidden, Err: err}
	}}, nil
}
