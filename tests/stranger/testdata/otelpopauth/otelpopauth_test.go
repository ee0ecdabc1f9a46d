package stranger

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/otelpopauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// A decision is counted.
func TestMetrics(t *testing.T) {
	reader := metric.NewManualReader()
	observe, err := otelpopauth.New(otelpopauth.Options{MeterProvider: metric.NewMeterProvider(metric.WithReader(reader))})
	if err != nil {
		t.Fatal(err)
	}
	issuer, owner := popauthtest.NewIssuer(t), popauthtest.SelfSigned(t, "owner")
	options := issuer.Options()
	options.Observe = observe
	guard, err := popauth.New(options)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	guard.Confirm(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).
		ServeHTTP(w, owner.Request(http.MethodGet, "/orders", issuer.Token(owner.Bound())))
	if w.Code != http.StatusOK {
		t.Errorf("got %d, want 200", w.Code)
	}
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			names = append(names, m.Name)
		}
	}
	if len(names) == 0 || names[0][:8] != "popauth." {
		t.Errorf("metrics: got %q, want some of popauth", names)
	}
}
