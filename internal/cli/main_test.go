package cli

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	os.Exit(inZone(m))
}
