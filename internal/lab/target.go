package lab

import "math/rand/v2"

// Target is a request target, made of what readers of paths differ about.
func Target(r *rand.Rand) string {
	parts := []string{
		"/", "/", "/", "orders", "admin", "stolen", ".", "..", "%2e", "%2E%2e", "%2f", "%2F", "//", ";", ";a=b", `\`, "%5c", "%00",
		"%0a", "%", "%zz", "%25", "%252e", "?", "?x=/../admin", "#", "#x", "a", "%61", "+", "%20", "ü",
		"%c3%bc", "%C3", "~", "*", ":", "@", "http:/", "&", "'", `"`, "<", "|",
	}
	target := ""
	if r.IntN(8) > 0 {
		target = "/" + []string{"", "orders/", "orders", "admin/", "orders/stolen", "orders/stolen/"}[r.IntN(6)]
	}
	for range 1 + r.IntN(5) {
		target += parts[r.IntN(len(parts))]
	}
	return target
}
