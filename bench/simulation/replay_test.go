package simulation

import (
	"slices"
	"testing"
	"time"
)

func TestCommands(t *testing.T) {
	got, err := Commands()
	if err != nil || !slices.Equal(got, []string{"evalsha"}) {
		t.Errorf("commands for one proof: got %q, %v, want one evalsha", got, err)
	}
}

// As many ids are kept as come while one is kept.
func TestReplay(t *testing.T) {
	const perSecond = 200
	use, err := Replay(perSecond)
	if err != nil {
		t.Fatal(err)
	}
	if want := perSecond * int(alone/time.Second); use.Most < want || use.Most > want*11/10 {
		t.Errorf("ids at a time: got %d, want %d to a tenth more", use.Most, want)
	}
}

// Evenly used, a part of 1/e of all tokens is not seen again after as many requests as there are tokens.
func TestMisses(t *testing.T) {
	misses := Misses(1000, 1000, 1, 1)
	if misses[0] < 600 || misses[0] > 660 {
		t.Errorf("tokens seen in a second: got %d, want about 632", misses[0])
	}
}
