// Package routers holds popauth's reading of a request line against routers that are no dependency of popauth itself.
package routers
