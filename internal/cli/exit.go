package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// Exit codes beyond those of error kinds.
const (
	exitUsage       = 2
	exitRunFailed   = 11
	exitTimeout     = 12
	exitFault       = 13
	exitDiffers     = 14
	exitInterrupted = 130
)

// ErrFault ends a command that has told of faults, in its own words, with the code for
// that.
var ErrFault error = exitError{code: exitFault}

// exitCodes maps kinds of errors to exit codes. Kinds that are missing exit with 1.
var exitCodes = map[weft.Kind]int{
	weft.Internal:        1,
	weft.Invalid:         3,
	weft.NotFound:        4,
	weft.Conflict:        5,
	weft.Unauthenticated: 6,
	weft.Forbidden:       7,
	weft.TooLarge:        8,
	weft.Unavailable:     9,
	weft.NoSpace:         10,
	weft.Canceled:        exitInterrupted,
}

const exitCodesHelp = `Every weft command ends with one of these codes:

    0   all went well
    1   something unexpected went wrong; the message says what
    2   the command was called in a wrong way
    3   what was given is invalid: a plan file, a tag, a damaged archive
    4   there is no such data, plan, run or image
    5   the present state does not allow it: an equal plan exists, a run has not ended
    6   the server does not know who you are
    7   you lack a right
    8   a limit of size or number is exceeded
    9   the server cannot be reached, or cannot do it now; try again later
   10   the server's disk is full
   11   weft run wait: a run failed
   12   weft run wait: the time was up before the runs ended
   13   weft admin doctor: something does not work
   14   weft data diff: the data differ
  130   interrupted

Extension commands end with the code of the extension.`

func newExitCodes() *cobra.Command {
	return &cobra.Command{Use: "exit-codes", Short: "What the exit codes mean", Long: exitCodesHelp}
}

// An exitError ends the program with a code of its own.
type exitError struct {
	code int
	err  error // nil: all was said already
}

func (e exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e exitError) Unwrap() error { return e.err }

// ExitCode returns the exit code for an error of a command, as "weft help exit-codes"
// lists them.
func ExitCode(err error) int {
	var exit exitError
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.code
	case errors.As(err, &usage), strings.HasPrefix(err.Error(), "unknown command "): // cobra has no type for it
		return exitUsage
	}
	if code, ok := exitCodes[kindOf(err)]; ok {
		return code
	}
	return 1
}

// kindOf returns the kind of an error made here or sent by the server.
func kindOf(err error) weft.Kind {
	var sent *api.Error
	if errors.As(err, &sent) {
		return weft.Kind(sent.Kind)
	}
	return weft.KindOf(err)
}

// report tells the user what went wrong: the message, then on lines of their own
// what to do, and which request an administrator should look for.
func report(w io.Writer, err error, interrupted bool) {
	var exit exitError
	if errors.As(err, &exit) && exit.err == nil {
		return
	}
	if interrupted {
		fmt.Fprintln(w, "weft: interrupted")
		return
	}
	message, advice := explain(err)
	fmt.Fprintf(w, "weft: %s\n", message)
	for _, line := range advice {
		fmt.Fprintf(w, "  %s\n", line)
	}
	var usage usageError
	switch {
	case errors.As(err, &usage):
		fmt.Fprintf(w, "  usage: %s\n  more: %s --help\n", usage.cmd.UseLine(), usage.cmd.CommandPath())
	case ExitCode(err) == exitUsage:
		fmt.Fprintln(w, `  see "weft help"`)
	}
}

// explain splits an error into what is wrong and what to do about it.
func explain(err error) (message string, advice []string) {
	message = err.Error()
	var sent *api.Error
	var own *weft.Error
	switch {
	case errors.As(err, &sent):
		message = strings.Replace(message, sent.Error(), sent.Reason(), 1)
		advice = lines(sent.Advice())
		if sent.See != "" && !strings.Contains(sent.Message, sent.See) {
			advice = append(advice, "see "+sent.See)
		}
		if sent.RequestID != "" && (sent.Kind == api.KindInternal || sent.Kind == "") {
			advice = append(advice, "the server's log tells more under request "+sent.RequestID)
		}
	case errors.As(err, &own):
		advice = lines(own.Advice)
	}
	return message, advice
}

func lines(s string) []string {
	if s = strings.TrimSpace(s); s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}
