package gin

import (
	"os"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/seed-171ab058/popauth/examples/frameworks/internal/crowd"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	os.Exit(m.Run())
}

func TestCrowd(t *testing.T) { crowd.Run(t, crowd.Handler(Routes)) }
