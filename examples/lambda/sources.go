package main

import (
	"context"

	"github.com/awslabs/aws-lambda-go-api-proxy/core"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/proxy"
)

// httpAPI is the source for events of an HTTP API (payload 2.0).
func httpAPI() (popauth.CertificateSource, error) {
	source, err := proxy.APIGateway(func(ctx context.Context) (string, bool) {
		event, ok := core.GetAPIGatewayV2ContextFromContext(ctx)
		return event.Authentication.ClientCert.ClientCertPem, ok
	})
	return source, err
}

// restAPI is the source for events of a REST API, and of an HTTP API with payload 1.0.
func restAPI() (popauth.CertificateSource, error) {
	source, err := proxy.APIGateway(func(ctx context.Context) (string, bool) {
		event, ok := core.GetAPIGatewayContextFromContext(ctx)
		if event.Identity.ClientCert == nil {
			return "", ok
		}
		return event.Identity.ClientCert.ClientCertPem, ok
	})
	return source, err
}

// loadBalancer is the source for events of an Application Load Balancer that verifies certificates, by its target group.
func loadBalancer(targetGroup string) (popauth.CertificateSource, error) {
	source, err := proxy.Certificate(proxy.AWSALBVerify(), proxy.TrustEvent(func(ctx context.Context) bool {
		event, ok := core.GetTargetGroupRequetFromContextALB(ctx)
		return ok && event.ELB.TargetGroupArn == targetGroup
	}))
	return source, err
}
