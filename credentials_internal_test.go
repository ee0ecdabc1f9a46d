package popauth

import (
	"net/url"
	"testing"
)

func TestSpells(t *testing.T) {
	const plain = "access_token"
	for _, s := range []string{
		plain, "%61ccess_token", "access%5Ftoken", "access%5ftoken", "%61%63%63%65%73%73%5f%74%6F%6b%65%6e", "access_toke%6e",
		"", "access_toke", "access_tokenx", "access_token%", "access_token%6", "%", "%6", "%zzccess_token", "%62ccess_token", "a%63",
		"access%2Dtoken",
		"%2561ccess_token", "Access_token", "access+token", "%61%63%63%65%73%73%5f%74%6F%6b%65%6e%00",
	} {
		decoded, err := url.QueryUnescape(s)
		if got, want := spells(s, plain), err == nil && decoded == plain; got != want {
			t.Errorf("%q: got %v, want %v", s, got, want)
		}
	}
}
