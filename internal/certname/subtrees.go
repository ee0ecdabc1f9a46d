package certname

import (
	"bytes"
	"strings"
)

// inDomain is for DNS names: the base and everything below it (RFC 5280, section 4.2.1.10); with a dot in front, which
// crypto/x509 and OpenSSL know too, only what is below.
func inDomain(host, base []byte) bool {
	if len(base) == 0 {
		return true
	}
	if len(host) < len(base) || !equalFold(host[len(host)-len(base):], base) {
		return false
	}
	rest := host[:len(host)-len(base)]
	return len(rest) == 0 || base[0] == '.' || rest[len(rest)-1] == '.'
}

// inHost is for URIs, and for the host of a mail address: the base itself, or with a dot in front what is below it.
func inHost(host string, base []byte) bool {
	if len(base) > 0 && base[0] == '.' {
		return len(host) > len(base) && equalFold(base, host[len(host)-len(base):])
	}
	return len(base) > 0 && equalFold(base, host)
}

// inMailbox is for mail addresses: one mailbox, all at a host, or, with a dot in front, all at the hosts below.
func inMailbox(local []byte, host string, base []byte) bool {
	at := bytes.LastIndexByte(base, '@')
	if at > 0 && !bytes.Equal(base[:at], local) {
		return false
	}
	return inHost(host, base[at+1:])
}

func inNetwork(ip, base []byte) bool {
	if len(base) != 2*len(ip) {
		return false
	}
	address, mask := base[:len(ip)], base[len(ip):]
	for i := range ip {
		if ip[i]&mask[i] != address[i]&mask[i] {
			return false
		}
	}
	return true
}

// hostOf returns the host of a URI that has one by every reading: OpenSSL ends it at the first colon, even one of the path;
// RFC 3986 knows of user, query and fragment. A URI without a host, such as a URN, is in no subtree that could be told
// (RFC 5280, section 4.2.1.10: it is refused).
func hostOf(uri []byte) (string, bool) {
	scheme, rest, ok := bytes.Cut(uri, []byte(":"))
	if !ok || len(scheme) == 0 || !bytes.HasPrefix(rest, []byte("//")) {
		return "", false
	}
	rest = rest[2:]
	end := bytes.IndexAny(rest, ":/")
	if end < 0 {
		end = len(rest)
	}
	host := rest[:end]
	port, path, _ := bytes.Cut(rest[end:], []byte("/"))
	if len(port) > 0 {
		port = port[1:] // without the colon
	}
	if len(bytes.Trim(port, "0123456789")) > 0 || bytes.IndexByte(path, ':') >= 0 {
		return "", false
	}
	return string(host), isHost(host, false)
}

// maxHost is more than the 253 characters that a host name can have.
const maxHost = 256

// isHost tells whether a name is one that everybody reads alike: labels of letters, digits, hyphens and underscores. A
// wildcard stands for itself.
func isHost(b []byte, wildcard bool) bool {
	if len(b) > maxHost {
		return false
	}
	if wildcard {
		b = bytes.TrimPrefix(b, []byte("*."))
	}
	for label := range bytes.SplitSeq(b, []byte(".")) {
		if len(label) == 0 || !isLabel(label) {
			return false
		}
	}
	return true
}

// isDomain tells whether the base of a subtree is empty, or a host with or without a dot in front.
func isDomain(b []byte) bool { return len(b) == 0 || isHost(bytes.TrimPrefix(b, []byte(".")), false) }

func isLabel(b []byte) bool {
	for _, c := range b {
		if c = lower(c); (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// readsLikeHost tells whether somebody may take a common name for a host's: two labels or more.
func readsLikeHost(cn string) bool {
	return strings.Contains(cn, ".") && isHost([]byte(strings.TrimSuffix(cn, ".")), true)
}
