package field

import "strings"

// taken are by their names in lower case. A program on the way takes them off, writes them anew or acts on them: those of
// one connection (RFC 9110, section 7.6.1), of framing and routing, of other credentials, and of the proxies before.
var taken = map[string]string{
	"connection": hop, "proxy-connection": hop, "keep-alive": hop, "te": hop, "trailer": hop, "transfer-encoding": hop, "upgrade": hop,
	"proxy-authenticate": hop, "proxy-authorization": hop, "http2-settings": hop,
	"host": framing, "content-length": framing, "content-type": framing, "content-encoding": framing, "expect": framing, "range": framing,
	"authorization": caller, "dpop": caller, "cookie": caller, "www-authenticate": caller, "set-cookie": caller,
	"early-data": way, "forwarded": way, "via": way, "x-forwarded-for": way, "x-forwarded-host": way, "x-forwarded-proto": way,
}

const (
	hop     = "it is about one connection, and ends there"
	framing = "it says how the request is read"
	caller  = "it is for credentials of the caller"
	way     = "it says which way the request has come"
)

// Taken tells what else a field is for, so that nothing of one's own can be sent in it; "" if it is for nothing.
func Taken(name string) string { return taken[strings.ToLower(name)] }
