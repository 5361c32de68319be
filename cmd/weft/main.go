// Command weft is the whole of Weft: the server, the client, and what runs beside a
// user's program.
package main

import (
	"os"

	"github.com/weft-dev/weft/internal/app"
)

func main() { os.Exit(app.Main()) }
