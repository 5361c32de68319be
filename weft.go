// Package weft says what Weft is, without saying how it is done: the nouns Data,
// Tag, Plan, Run and Lineage, and the rules that hold between them.
//
// People push Data (immutable directories with tags) and register Plans (a
// container image with tagged inputs and outputs). Weft makes every Run that the
// tags allow and that was not yet made, runs it in a container, turns its outputs
// and its log into new Data, and so sets off the next Runs.
//
// The rules are functions of values: there is no I/O here, no context, no clock and
// no random number. Times and ids come in as arguments. What stores, runs, serves
// and shows these nouns lives under internal/.
package weft
