// Package grpcgo puts a Guard around a server of google.golang.org/grpc, by net/http's server in place of the one that is built in.
package grpcgo

import (
	"fmt"
	"net/http"

	"google.golang.org/grpc"

	"github.com/seed-171ab058/popauth"
)

// Handler runs, for each method of the server's services, the stage that is under its full name: "/shop.v1.Shop/Orders". A method
// without one is unimplemented, so that one that is added to a proto file stays shut. A name that is no method's is an error: as a
// pattern it could open others.
func Handler(server *grpc.Server, stages map[string]func(http.Handler) http.Handler) (http.Handler, error) {
	methods := map[string]bool{}
	for service, info := range server.GetServiceInfo() {
		for _, m := range info.Methods {
			methods["/"+service+"/"+m.Name] = true
		}
	}
	mux := http.NewServeMux()
	for name, stage := range stages {
		if !methods[name] {
			return nil, fmt.Errorf("no method %q of the server: register its service first, and write /package.Service/Method", name)
		}
		mux.Handle("POST "+name, stage(server))
	}
	return popauth.RequestLine{}.Handler(mux), nil
}
