// Package interop has no code but tests: popauth against an authorization server and a client that nobody here wrote,
// oidc-provider and openid-client of npm. They run in processes of their own, on loopback, over TLS.
//
//	npm ci --prefix interop --ignore-scripts
//	go test -C interop -v
//
// The versions are those of package-lock.json. TestTable prints who may use which token, as wanted and as it came.
// Without Node.js 20 or what npm installs, the tests are skipped; under CI=true they fail.
package interop
