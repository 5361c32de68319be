package weft

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A Policy says how the Runs of a Plan are run, which has no part in what they make.
// It can be changed at any time, and counts for Runs that are under way too. The zero
// Policy is that of a plain Knitfab plan, but for the grace.
type Policy struct {
	Timeout     time.Duration  // of one attempt, from when its program began; 0 is none
	Grace       *time.Duration // between the request to end and the end; nil is DefaultGrace
	Retry       Retry
	Concurrency int64 // how many Runs of the Plan may be under way at once; 0 is no limit
}

// A Retry says which failures of Runs are tried again by themselves.
type Retry struct {
	Limit   int64         // how often, after the first attempt; 0 is never
	Backoff time.Duration // before the first retry, doubled before each that follows; 0 is DefaultBackoff
	OnExit  []string      // exit codes, and the words among RetryWords; empty is everything that a retry may help
}

const (
	// DefaultGrace is how long a program has between SIGTERM and SIGKILL.
	DefaultGrace = 10 * time.Second
	// DefaultBackoff is how long a failed Run waits before it is tried again.
	DefaultBackoff = 10 * time.Second

	maxBackoff     = time.Hour
	maxRetries     = 100
	maxGrace       = 24 * time.Hour
	maxTimeout     = 366 * 24 * time.Hour
	maxConcurrency = 1_000_000
)

// An End says why an attempt ended.
type End string

const (
	EndExit     End = "exit"    // its program ended, with the code that is told
	EndSignal   End = "signal"  // its program was ended by a signal that Weft did not send
	EndOOM      End = "oom"     // the kernel killed it for want of memory
	EndLimit    End = "limit"   // it grew beyond a limit, or filled the disk
	EndLost     End = "lost"    // its container was lost, and nobody knows how it ended
	EndTimeout  End = "timeout" // it ran longer than its Plan allows
	EndNotBegun End = "start"   // its container could not be started
	EndStopped  End = "stopped" // a user stopped it, and keeps what it wrote
	EndAborted  End = "aborted" // a user stopped it as failed
	EndUnknown  End = ""        // it has not ended, or that was not recorded
)

// RetryWords are the words that Retry.OnExit knows beside exit codes.
var RetryWords = []string{string(EndLost), string(EndOOM), string(EndTimeout), string(EndSignal), string(EndLimit), string(EndNotBegun)}

// GraceOr returns the grace of the Policy.
func (p Policy) GraceOr() time.Duration {
	if p.Grace == nil {
		return DefaultGrace
	}
	return *p.Grace
}

// IsZero reports whether nothing is set.
func (p Policy) IsZero() bool {
	return p.Timeout == 0 && p.Grace == nil && p.Retry.Limit == 0 && p.Retry.Backoff == 0 && len(p.Retry.OnExit) == 0 && p.Concurrency == 0
}

// Again says whether a Run that failed just now is tried again by itself, and when.
func (p Policy) Again(r Run, now time.Time) (due time.Time, again bool) {
	if r.Status != Failed || r.Retries >= p.Retry.Limit || !p.Retry.covers(r) {
		return time.Time{}, false
	}
	pause := p.Retry.Backoff
	if pause == 0 {
		pause = DefaultBackoff
	}
	for n := int64(0); n < r.Retries && pause < maxBackoff; n++ {
		pause *= 2
	}
	return now.Add(min(pause, max(maxBackoff, p.Retry.Backoff))), true
}

// covers reports whether a failed Run is one to be tried again. What a user ended is
// never, and what could not be started only when that is asked for.
func (t Retry) covers(r Run) bool {
	switch {
	case r.End == EndAborted || r.End == EndStopped:
		return false
	case len(t.OnExit) == 0:
		return r.End != EndNotBegun && r.End != EndLimit
	case slices.Contains(t.OnExit, string(r.End)):
		return true
	}
	byProgram := r.End == EndExit || r.End == EndSignal || r.End == EndOOM
	return byProgram && r.Exit != nil && slices.Contains(t.OnExit, strconv.Itoa(int(r.Exit.Code)))
}

// Validate reports the first reason to refuse a Policy.
func (p Policy) Validate() error {
	span := func(name string, d, most time.Duration) error {
		switch {
		case d < 0:
			return Errorf(Invalid, "%s is negative", name)
		case d > most:
			return Errorf(Invalid, "%s %s is longer than %s", name, d, most)
		}
		return nil
	}
	if err := span("timeout", p.Timeout, maxTimeout); err != nil {
		return err
	}
	if p.Timeout != 0 && p.Timeout < time.Second {
		return Errorf(Invalid, "timeout %s is shorter than 1s", p.Timeout)
	}
	if err := span("grace", p.GraceOr(), maxGrace); err != nil {
		return err
	}
	if err := span("retry: backoff", p.Retry.Backoff, maxTimeout); err != nil {
		return err
	}
	if p.Retry.Limit < 0 || p.Retry.Limit > maxRetries {
		return Errorf(Invalid, "retry: limit %d is not between 0 and %d", p.Retry.Limit, maxRetries)
	}
	for _, word := range p.Retry.OnExit {
		code, err := strconv.ParseUint(word, 10, 8)
		if (err != nil || code == 0 || strconv.FormatUint(code, 10) != word) && !slices.Contains(RetryWords, word) {
			return Errorf(Invalid, "retry: on_exit %q is neither an exit code from 1 to 255 nor a reason", clip(word)).
				WithAdvice("reasons are %s", strings.Join(RetryWords, ", "))
		}
	}
	if p.Retry.Limit == 0 && (p.Retry.Backoff != 0 || len(p.Retry.OnExit) > 0) {
		return Errorf(Invalid, "retry has no limit").WithAdvice("say how often with limit: 3")
	}
	if p.Concurrency < 0 || p.Concurrency > maxConcurrency {
		return Errorf(Invalid, "concurrency %d is not between 1 and %d", p.Concurrency, maxConcurrency)
	}
	return nil
}

// A Variable is part of the environment of a Plan's programs: a value, or the name of a
// secret of the project whose value it is.
type Variable struct {
	Name   string
	Value  string
	Secret string // "" for a plain value
}

const (
	maxVariables     = 1000
	maxVariable      = 100 << 10 // bytes of a name and its value; Linux takes 128 KiB
	maxVariableName  = 256
	minSecret        = 4
	maxSecret        = 64 << 10
	maxSecretName    = 63
	secretNameAdvice = "use letters, digits, dots, dashes and underscores, 63 at most"
)

var (
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)
	secretName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
)

// ValidateSecretName refuses what cannot be the name of a secret.
func ValidateSecretName(name string) error {
	if len(name) > maxSecretName || !secretName.MatchString(name) {
		return Errorf(Invalid, "%q cannot be the name of a secret", clip(name)).WithAdvice(secretNameAdvice)
	}
	return nil
}

// ValidateSecret refuses what cannot be the value of a secret. The error does not tell
// the value.
func ValidateSecret(value string) error {
	switch {
	case len(value) < minSecret:
		return Errorf(Invalid, "the secret is shorter than %d bytes, and could not be masked in logs", minSecret)
	case len(value) > maxSecret:
		return Errorf(TooLarge, "the secret is longer than %d bytes", maxSecret)
	case strings.Contains(value, "\x00") || !utf8.ValidString(value):
		return Errorf(Invalid, "the secret is not UTF-8 text without NUL, and cannot be a variable of the environment").WithAdvice("encode it, for example by base64")
	}
	return nil
}

// sortVariables returns the variables by name.
func sortVariables(vs []Variable) []Variable {
	vs = slices.Clone(vs)
	slices.SortStableFunc(vs, func(a, b Variable) int { return strings.Compare(a.Name, b.Name) })
	return vs
}

// validateVariables reports the first reason to refuse an environment, which is sorted.
func validateVariables(vs []Variable) error {
	if len(vs) > maxVariables {
		return Errorf(Invalid, "the plan has %d variables in env and secrets; %d are allowed", len(vs), maxVariables)
	}
	for i, v := range vs {
		switch {
		case len(v.Name) > maxVariableName || !variableName.MatchString(v.Name):
			return Errorf(Invalid, "env: %q cannot be the name of a variable", clip(v.Name)).WithAdvice("use letters, digits and underscores")
		case i > 0 && vs[i-1].Name == v.Name:
			return Errorf(Invalid, "env: %s is there twice, in env or in secrets", v.Name)
		case len(v.Name)+len(v.Value) > maxVariable:
			return Errorf(Invalid, "env: %s is longer than %d bytes", v.Name, maxVariable)
		case strings.Contains(v.Value, "\x00") || !utf8.ValidString(v.Value):
			return Errorf(Invalid, "env: %s is not UTF-8 text without NUL", v.Name)
		}
		if v.Secret != "" {
			if err := ValidateSecretName(v.Secret); err != nil {
				return err
			}
		}
	}
	return nil
}

// SecretNames returns the names of the secrets that the Plan's Runs are given, each once.
func (p Plan) SecretNames() []string {
	var names []string
	for _, v := range p.Env {
		if v.Secret != "" && !slices.Contains(names, v.Secret) {
			names = append(names, v.Secret)
		}
	}
	return names
}

// ParseSpan reads a length of time like 90s, 1h30m or 2d.
func ParseSpan(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, Errorf(Invalid, "%q is not a length of time", clip(text)).WithAdvice("write it like 90s, 1h30m or 2d")
	}
	return d, nil
}

// PolicyTexts is a Policy as it is written: lengths of time as ParseSpan reads them, ""
// where nothing is set.
type PolicyTexts struct {
	Timeout, Grace, Backoff string
	Limit, Concurrency      int64
	OnExit                  []string
}

// ParsePolicy reads a Policy.
func ParsePolicy(t PolicyTexts) (Policy, error) {
	p := Policy{Concurrency: t.Concurrency, Retry: Retry{Limit: t.Limit, OnExit: t.OnExit}}
	var grace time.Duration
	for _, span := range []struct {
		name, text string
		to         *time.Duration
	}{{"timeout", t.Timeout, &p.Timeout}, {"grace", t.Grace, &grace}, {"retry: backoff", t.Backoff, &p.Retry.Backoff}} {
		if span.text == "" {
			continue
		}
		var err error
		if *span.to, err = ParseSpan(span.text); err != nil {
			return p, Errorf(Invalid, "%s: %w", span.name, err).WithAdvice("write it like 90s, 1h30m or 2d")
		}
	}
	if t.Grace != "" {
		p.Grace = &grace
	}
	return p, p.Validate()
}

// Texts is the reverse of ParsePolicy.
func (p Policy) Texts() PolicyTexts {
	span := func(d time.Duration) string {
		if d == 0 {
			return ""
		}
		return d.String()
	}
	t := PolicyTexts{Timeout: span(p.Timeout), Backoff: span(p.Retry.Backoff), Limit: p.Retry.Limit, OnExit: p.Retry.OnExit, Concurrency: p.Concurrency}
	if p.Grace != nil {
		t.Grace = p.Grace.String()
	}
	return t
}

// NewEnv returns the variables that have a value, and those that have that of a secret, by
// name: a name that is in both comes twice, which Plan.Validate refuses.
func NewEnv(values, secrets map[string]string) []Variable {
	var vs []Variable
	for name, value := range values {
		vs = append(vs, Variable{Name: name, Value: value})
	}
	for name, secret := range secrets {
		vs = append(vs, Variable{Name: name, Secret: secret})
	}
	return sortVariables(vs)
}
