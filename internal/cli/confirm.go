package cli

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/weft-dev/weft"
)

// confirmFlag adds --yes to a command that asks before it takes something away for good.
func confirmFlag(cmd *cobra.Command, yes *bool) {
	cmd.Flags().BoolVarP(yes, "yes", "y", false, "do not ask; needed where there is no terminal to ask on")
}

// confirm asks whether to go on. Where nobody can be asked, it refuses without --yes.
func (c *common) confirm(yes bool, question string) error {
	if yes {
		return nil
	}
	in, ok := c.In.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return weft.Errorf(weft.Invalid, "%s There is nobody to ask.", question).WithAdvice("give --yes to go on, or --dry-run to look first")
	}
	fmt.Fprintf(c.Err, "%s [y/N] ", question)
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil {
		return err
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return weft.Errorf(weft.Canceled, "nothing was done")
	}
	return nil
}
