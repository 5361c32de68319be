// Package api is Weft's HTTP API as a client sees it: the types on the wire, the
// framing of many small files in one stream, and a client for every call.
//
// The types have the shapes of Knitfab 1.6.1, so that its knit command understands
// every answer; what Weft adds are further fields, parameters and paths. The whole
// API is described in openapi.json, which the server generates.
package api
