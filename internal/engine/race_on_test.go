//go:build race

package engine_test

// The race detector makes a simulation ten times as slow.
const defaultSeeds = 10
