package main

import "os"

// tableWidth is what a table fits into where its output is no terminal.
const tableWidth = 100

// leastWidth is the narrowest table that is still of use.
const leastWidth = 60

// terminalWidth returns how wide the terminal is that w writes to, or another width if it is none.
func terminalWidth(w any, otherwise int) int {
	f, ok := w.(*os.File)
	if !ok {
		return otherwise
	}
	columns, is := terminalColumns(f)
	if !is || columns == 0 {
		return otherwise
	}
	return max(columns, leastWidth)
}
