package gateway

import (
	"testing"

	"github.com/seed-171ab058/popauth/examples/frameworks/internal/crowd"
)

func TestCrowd(t *testing.T) { crowd.Run(t, crowd.Handler(Routes)) }
