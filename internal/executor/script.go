package executor

import (
	"strconv"
	"strings"
	"time"

	"github.com/weft-dev/weft"
)

// A Script is a program in the words that the Fake understands and that the test
// image of exectest carries out for real. Its steps are done in order:
//
//	print TEXT       prints TEXT and a newline
//	write FILE=TEXT  makes the file, and the directories above it
//	copy FILE=FILE   copies the first to the second
//	show FILE        prints what is in the file
//	after DURATION   waits
//	exit CODE        is the code to end with, once the last step is done
//	stubborn         from here on, a request to stop is ignored
//
// A step that fails prints why and ends the program with code 1. A request to stop
// ends it with code 143. The following have an effect in the Fake only; in a
// container they are what one cannot script:
//
//	pending DURATION waits before the program starts
//	signal NUMBER    the program ends by that signal, once the last step is done
//	oom              the kernel kills the program, once the last step is done
//	vanish           the container is gone without a trace, once the last step is done
//	refuse TEXT      Start fails for good: such a job is impossible
type Script struct {
	Pending  time.Duration
	Steps    []Step
	Code     int
	Signal   int
	OOM      bool
	Vanish   bool
	Refuse   string
	Stubborn bool // some step says so
}

// A Step is one thing that a Script does. Of its fields after Verb those are set
// that belong to the verb.
type Step struct {
	Verb     string
	Text     string
	File     string
	To       string
	Duration time.Duration
}

// CodeTerminated is the code with which a Script ends when it is asked to stop.
const CodeTerminated = 143

// ParseScript reads words such as "exit 3 after 2s print done". No words are a
// program that ends well at once.
func ParseScript(words []string) (Script, error) {
	var s Script
	for len(words) > 0 {
		verb, rest := words[0], words[1:]
		if verb == "stubborn" || verb == "oom" || verb == "vanish" {
			s.flag(verb)
			words = rest
			continue
		}
		if len(rest) == 0 {
			return s, weft.Errorf(weft.Invalid, "script: %q is no step, or lacks its argument", verb)
		}
		if err := s.step(verb, rest[0]); err != nil {
			return s, err
		}
		words = rest[1:]
	}
	return s, nil
}

func (s *Script) flag(verb string) {
	switch verb {
	case "stubborn":
		s.Stubborn = true
		s.Steps = append(s.Steps, Step{Verb: verb})
	case "oom":
		s.OOM = true
	case "vanish":
		s.Vanish = true
	}
}

func (s *Script) step(verb, arg string) error {
	var err error
	switch verb {
	case "print":
		s.Steps = append(s.Steps, Step{Verb: verb, Text: arg})
	case "show":
		s.Steps = append(s.Steps, Step{Verb: verb, File: arg})
	case "write", "copy":
		file, text, ok := strings.Cut(arg, "=")
		if !ok {
			return weft.Errorf(weft.Invalid, "script: %s %q has no =", verb, arg)
		}
		s.Steps = append(s.Steps, Step{Verb: verb, File: file, Text: text, To: text})
	case "after":
		var d time.Duration
		d, err = time.ParseDuration(arg)
		s.Steps = append(s.Steps, Step{Verb: verb, Duration: d})
	case "pending":
		s.Pending, err = time.ParseDuration(arg)
	case "exit":
		s.Code, err = strconv.Atoi(arg)
	case "signal":
		s.Signal, err = strconv.Atoi(arg)
	case "refuse":
		s.Refuse = arg
	default:
		return weft.Errorf(weft.Invalid, "script: %q is not a step", verb)
	}
	if err != nil {
		return weft.Errorf(weft.Invalid, "script: %s %q: %w", verb, arg, err)
	}
	return nil
}
