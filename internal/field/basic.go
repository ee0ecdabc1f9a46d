package field

import (
	"encoding/base64"
	"net/url"
	"strings"
)

// Basic writes credentials of client_secret_basic (RFC 6749, section 2.3.1): both parts are form-encoded first, since a colon or a
// percent sign would be read as another. A space becomes %20, which every server decodes; Authlib takes a plus sign for itself.
func Basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(encoded(id)+":"+encoded(secret)))
}

func encoded(part string) string { return strings.ReplaceAll(url.QueryEscape(part), "+", "%20") }
