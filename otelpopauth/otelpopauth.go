// Package otelpopauth reports what a popauth.Guard decides to OpenTelemetry.
//
//	observe, err := otelpopauth.New(otelpopauth.Options{})
//	guard, err := popauth.New(popauth.Options{…, Observe: observe})
//	handler := otelhttp.NewHandler(guard.Confirm(orders), "orders") // for the server's own spans and metrics
//
// # Metrics
//
//	popauth.decisions          counter, {decision}: popauth.stage, error.type, popauth.scheme, popauth.binding,
//	                           popauth.issuer, popauth.remembered
//	popauth.decision.duration  histogram, s: popauth.stage, error.type, popauth.remembered
//
// error.type is the popauth.Reason of a refusal; the others are the fields of popauth.Observation. Empty ones are left
// out. None of them is text of a request, so no sender can add series, unless any number of issuers is accepted: see
// Options.WithoutIssuer.
//
// # Traces
//
// Authentication, which may wait for an issuer or a replay store, is an internal span "popauth authenticate", a child of
// the request's current span, with the counter's attributes. Later stages only compare, and get none. A refusal of any
// stage sets popauth.stage and popauth.reason on the current span, where people search for requests, but not its status.
// The status of popauth's own span is an error only for faults on this side, status 500 and above, as in the conventions
// for HTTP servers. Without a recorded current span, nothing is recorded.
package otelpopauth

import (
	"context"
	"errors"
	"net/http"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/seed-171ab058/popauth"
)

// scope is the instrumentation scope's name.
const scope = "github.com/seed-171ab058/popauth/otelpopauth"

// Options configure New.
type Options struct {
	_ [0]func()

	// MeterProvider is where the metrics go. If nil, the global one; noop.NewMeterProvider() for none.
	MeterProvider metric.MeterProvider

	// TracerProvider is where the spans go. If nil, the global one; noop.NewTracerProvider() for none.
	TracerProvider trace.TracerProvider

	// WithoutIssuer leaves popauth.issuer out of the metrics, for an API that accepts more issuers than a metric should
	// have series, as with issuers.Options.Resolve. Spans have it all the same.
	WithoutIssuer bool
}

// buckets are the histogram's bounds in seconds: a remembered token takes microseconds, a fetch of keys seconds.
var buckets = []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// New returns a function for popauth.Options.Observe; several Guards may share one. The error is the MeterProvider's.
func New(o Options) (func(context.Context, popauth.Observation), error) {
	if o.MeterProvider == nil {
		o.MeterProvider = otel.GetMeterProvider()
	}
	if o.TracerProvider == nil {
		o.TracerProvider = otel.GetTracerProvider()
	}
	meter, tracer := o.MeterProvider.Meter(scope), o.TracerProvider.Tracer(scope)
	decisions, err := meter.Int64Counter("popauth.decisions", metric.WithUnit("{decision}"),
		metric.WithDescription("Decisions of a stage about a request."))
	duration, err2 := meter.Float64Histogram("popauth.decision.duration", metric.WithUnit("s"),
		metric.WithDescription("Duration of the decisions of a stage."), metric.WithExplicitBucketBoundaries(buckets...))
	if err := errors.Join(err, err2); err != nil {
		return nil, err
	}
	return func(ctx context.Context, seen popauth.Observation) {
		few, all := attributes(seen)
		counted := all
		if o.WithoutIssuer {
			seen := seen
			seen.Issuer = ""
			_, counted = attributes(seen)
		}
		decisions.Add(ctx, 1, metric.WithAttributes(counted...))
		if seen.Stage != popauth.StageOutside {
			duration.Record(ctx, seen.Duration.Seconds(), metric.WithAttributes(few...))
		}
		follow(ctx, tracer, seen, all)
	}, nil
}

// attributes returns those of the histogram, and all.
func attributes(o popauth.Observation) (few, all []attribute.KeyValue) {
	few = append(make([]attribute.KeyValue, 0, 6), attribute.String("popauth.stage", string(o.Stage)),
		attribute.Bool("popauth.remembered", o.Remembered))
	if o.Reason != "" {
		few = append(few, attribute.String("error.type", string(o.Reason)))
	}
	all = few
	for _, a := range []attribute.KeyValue{
		attribute.String("popauth.scheme", o.Scheme), attribute.String("popauth.binding", o.Binding),
		attribute.String("popauth.issuer", o.Issuer),
	} {
		if a.Value.AsString() != "" {
			all = append(all, a)
		}
	}
	return few, all
}

func follow(ctx context.Context, tracer trace.Tracer, o popauth.Observation, all []attribute.KeyValue) {
	current := trace.SpanFromContext(ctx)
	if !current.IsRecording() {
		return
	}
	if o.Reason != "" {
		current.SetAttributes(attribute.String("popauth.stage", string(o.Stage)), attribute.String("popauth.reason", string(o.Reason)))
	}
	if o.Stage != popauth.StageAuthenticate {
		return
	}
	end := time.Now()
	_, span := tracer.Start(ctx, "popauth authenticate", trace.WithTimestamp(end.Add(-o.Duration)), trace.WithAttributes(all...))
	if o.Status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, string(o.Reason))
	}
	span.End(trace.WithTimestamp(end))
}
