//go:build unix

package interop_test

import "testing"

func testKeycloakOtherJWTs(t *testing.T, k *keycloak) {}
