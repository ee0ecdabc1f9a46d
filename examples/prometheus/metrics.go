package main

import (
	"context"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-171ab058/popauth"
)

// metrics are what Prometheus gets to know about a Guard. This file is the one to copy.
type metrics struct {
	decisions *prometheus.CounterVec
	duration  *prometheus.HistogramVec
}

// newMetrics registers them, with those of the issuer's keys.
func newMetrics(r prometheus.Registerer, keys *popauth.RemoteKeys) (*metrics, error) {
	m := &metrics{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "popauth_decisions_total",
			Help: "Decisions of a stage about a request; reason is empty where it passed.",
		}, []string{"stage", "reason", "status", "scheme", "binding", "issuer"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "popauth_decision_duration_seconds",
			Help:    "Duration of the decisions of a stage.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"stage", "remembered"}),
	}
	refreshed := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "popauth_keys_last_refresh_timestamp_seconds",
		Help: "When the issuer's keys were last fetched; 0 if never.",
	}, func() float64 {
		if t := keys.LastRefresh(); !t.IsZero() {
			return float64(t.Unix())
		}
		return 0
	})
	ready := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "popauth_keys_ready",
		Help: "1 if there are keys to verify tokens with.",
	}, func() float64 {
		if keys.Ready() {
			return 1
		}
		return 0
	})
	for _, c := range []prometheus.Collector{m.decisions, m.duration, refreshed, ready} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// observe is for popauth.Options.Observe. Each label's value is from a closed set, so no sender can add series. With
// popauth.IssuersOptions.Resolve leave issuer out, if there may be many.
func (m *metrics) observe(_ context.Context, o popauth.Observation) {
	m.decisions.WithLabelValues(string(o.Stage), string(o.Reason), strconv.Itoa(o.Status), o.Scheme, o.Binding, o.Issuer).Inc()
	if o.Stage != popauth.StageOutside {
		m.duration.WithLabelValues(string(o.Stage), strconv.FormatBool(o.Remembered)).Observe(o.Duration.Seconds())
	}
}
