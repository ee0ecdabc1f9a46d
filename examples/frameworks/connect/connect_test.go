package connect

import (
	"strconv"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/examples/frameworks/internal/crowd"
)

// The same crowd, in Connect's own protocol: a POST with JSON to the path of the procedure.
func TestCrowd(t *testing.T) {
	api := crowd.Handler(Routes)
	api.Form = func(route string) (method, path, contentType, body string) {
		if route == "GET /health" {
			return "GET", "/health", "", ""
		}
		if id, ok := strings.CutPrefix(route, "GET /orders/"); ok {
			return "POST", "/shop.v1.Shop/Order", "application/json", strconv.Quote(id)
		}
		return "POST", "/shop.v1.Shop/" + map[string]string{
			"GET /catalog": "Catalog", "GET /orders": "Orders", "POST /orders": "Buy", "POST /readings": "Read",
		}[route], "application/json", "{}"
	}
	api.Says = strconv.Quote
	crowd.Run(t, api)
}
