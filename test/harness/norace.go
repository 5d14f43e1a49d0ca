//go:build !race

package harness

// raced says whether the tests run with the race detector.
const raced = false
