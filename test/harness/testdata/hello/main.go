// Command hello is what the harness's own tests build.
package main

import "fmt"

func main() { fmt.Println(greeting) }
