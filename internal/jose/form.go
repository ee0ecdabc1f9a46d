package jose

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxToken bounds a token before anything of it is looked at, and the Authorization header that it comes in; most servers
// allow less.
const MaxToken = 16 << 10

// CheckSize returns what is wrong with a token that nobody has to look at.
func CheckSize(token string) error {
	switch {
	case token == "":
		return errors.New("an empty token")
	case len(token) > MaxToken:
		return fmt.Errorf("the token is too large: %d bytes, and %d are the most", len(token), MaxToken)
	}
	return nil
}

// HasForm tells whether a token has the form of a JWT: three parts, of which the first is a JSON object.
func HasForm(token string) bool {
	if strings.Count(token, ".") != 2 {
		return false
	}
	first, _, _ := strings.Cut(token, ".")
	header, err := AppendDecode(nil, first)
	return err == nil && jsontext.Value(header).Kind() == '{'
}
