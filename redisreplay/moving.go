package redisreplay

import (
	"context"
	"slices"
	"strings"
	"time"
)

// While a cluster moves a slot, the script's two keys may be on two nodes. Redis says TRYAGAIN then, and has done nothing;
// nor has it where the client gives up on being sent from one node to the other.
// A slot is moved soon, so it is asked again a few times, in what is left of Timeout: that a node moves is no reason to
// refuse an owner, and to do it without the count would open the bound.
const (
	movingTries = 32
	movingPause = 5 * time.Millisecond // at first
	movingMost  = 100 * time.Millisecond
)

func moves(err error) bool {
	return err != nil && slices.ContainsFunc([]string{"TRYAGAIN ", "MOVED ", "ASK "}, func(said string) bool {
		return strings.HasPrefix(err.Error(), said)
	})
}

// whileMoving asks until the slot is somewhere.
func whileMoving(ctx context.Context, ask func() (int, error)) (answer int, err error) {
	pause := movingPause
	for range movingTries {
		if answer, err = ask(); !moves(err) {
			return answer, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return answer, err // which says more than that the time is over
		}
		pause = min(2*pause, movingMost)
	}
	return answer, err
}
