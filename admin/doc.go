// Package admin serves what people and machines ask a running relay over HTTP: metrics
// for Prometheus, and whether it is alive and ready.
package admin
