package main

import (
	"context"
	"errors"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-171ab058/popauth"
)

// metrics are those of a process's Guards and of the keys that they verify tokens with. Copy this file.
type metrics struct {
	registerer prometheus.Registerer
	decisions  *prometheus.CounterVec
	duration   *prometheus.HistogramVec
}

// newMetrics registers them, once for all Guards of a process.
func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		registerer: r,
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "popauth_decisions_total",
			Help: "Decisions of a stage about a request; reason is empty where it passed.",
		}, []string{"guard", "stage", "reason", "status", "scheme", "binding", "issuer"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "popauth_decision_duration_seconds",
			Help:    "Duration of the decisions of a stage.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"guard", "stage", "remembered"}),
	}
	return m, errors.Join(r.Register(m.decisions), r.Register(m.duration))
}

// guard returns the function for popauth.Options.Observe of a Guard; the label guard has its name. Label values are from
// closed sets, so no sender can add series. Leave issuer out if issuers.Options.Resolve accepts any number.
func (m *metrics) guard(name string) func(context.Context, popauth.Observation) {
	return func(_ context.Context, o popauth.Observation) {
		m.decisions.WithLabelValues(name, string(o.Stage), string(o.Reason), strconv.Itoa(o.Status), o.Scheme, o.Binding, o.Issuer).Inc()
		if o.Stage != popauth.StageOutside {
			m.duration.WithLabelValues(name, string(o.Stage), strconv.FormatBool(o.Remembered)).Observe(o.Duration.Seconds())
		}
	}
}

// keys registers the metrics of an issuer's keys. Call it once for each RemoteKeys, with the issuer's name. A Guard with
// introspection or StaticKeys has none, and no such series.
func (m *metrics) keys(issuer string, keys *popauth.RemoteKeys) error {
	if keys == nil {
		return errors.New("metrics: nil RemoteKeys: make them by popauth.NewRemoteKeys, and give them to popauth.Options.Keys as well: " +
			"those that a Guard makes for itself can't be asked")
	}
	labels := prometheus.Labels{"issuer": issuer}
	refreshed := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "popauth_keys_last_refresh_timestamp_seconds",
		Help:        "When the issuer's keys were last fetched; 0 if never.",
		ConstLabels: labels,
	}, func() float64 {
		if t := keys.LastRefresh(); !t.IsZero() {
			return float64(t.Unix())
		}
		return 0
	})
	ready := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "popauth_keys_ready",
		Help:        "1 if there are keys to verify tokens with.",
		ConstLabels: labels,
	}, func() float64 {
		if keys.Ready() {
			return 1
		}
		return 0
	})
	return errors.Join(m.registerer.Register(refreshed), m.registerer.Register(ready))
}
