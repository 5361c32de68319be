// Package server is the HTTP API: routing, authentication, the translation between
// the domain and the wire, and the streams (uploads, downloads, logs, events).
//
// Every route is one operation: it is declared once with what it is in the OpenAPI
// document, which right it takes and what answers it (operation.go). So there is one
// place where requests are authorised, and no route can be without. Operations that
// take and give JSON are functions from an input to an output, which huma decodes and
// encodes; those that stream are plain handlers.
//
// The routes of Knitfab are answered as Knitfab 1.6.1 does, for its unmodified knit
// command; testdata/golden holds exchanges that say how. Ours stand beside them.
//
// What the server needs of the rest of the system is in needs.go, as interfaces.
package server
