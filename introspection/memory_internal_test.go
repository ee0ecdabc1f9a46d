package introspection

import "testing"

// What docs/scale.md says of the memories of one Verifier with the defaults, of which the root package has the sum.
func TestMemory(t *testing.T) {
	i, err := New(Options{
		Issuer: "id", Endpoint: "https://id.example.com/", Audience: []string{"a"}, Authentication: ClientSecretBasic{ID: "a", Secret: "s"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := i.accepted.Most()+i.refused.Most(), int64(17_048_576); got != want {
		t.Errorf("answers: got %d bytes at most, want %d", got, want)
	}
}
