package redisreplay

import (
	"context"
	"fmt"
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

// whileMoving asks until the slot is somewhere. An error says that it wasn't, whatever ended the wait.
func whileMoving(ctx context.Context, ask func() (int, error)) (int, error) {
	var moving error
	pause := movingPause
	for range movingTries {
		answer, err := ask()
		switch {
		case moves(err):
			moving = fmt.Errorf("the cluster is moving the key's slot: %w", err)
		case err != nil && moving != nil:
			return 0, fmt.Errorf("%w: %w", moving, err)
		default:
			return answer, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return 0, fmt.Errorf("%w: %w", moving, ctx.Err())
		}
		pause = min(2*pause, movingMost)
	}
	return 0, moving
}
