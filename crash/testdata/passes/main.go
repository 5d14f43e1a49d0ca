// Command passes passes two marks, three times each.
package main

import (
	"os"

	"relay/crash"
)

func main() {
	for range 3 {
		crash.At("first")
		os.Stdout.WriteString("first\n")
		crash.At("second")
	}
}
