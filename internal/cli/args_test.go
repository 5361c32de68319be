package cli

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

func TestParseLooseTime(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("there", 9*3600)
	for text, want := range map[string]string{
		"2024-10-31":                     "2024-10-31T00:00:00+09:00",
		"2024-10-31Z":                    "2024-10-31T00:00:00Z",
		"2024-10-31 01":                  "2024-10-31T01:00:00+09:00",
		"2024-10-31T01:23":               "2024-10-31T01:23:00+09:00",
		"2024-10-31 01:23-02:00":         "2024-10-31T01:23:00-02:00",
		"2024-10-31 01:23:45":            "2024-10-31T01:23:45+09:00",
		"2024-10-31T01:23:45.678Z":       "2024-10-31T01:23:45.678Z",
		" 2024-10-31T01:23:45.6+00:00":   "2024-10-31T01:23:45.6Z",
		"2024-10-31 01:23:45.123456+9:0": "",
		"2024-13-31":                     "",
		"yesterday":                      "",
		"":                               "",
	} {
		got, err := parseLooseTime(text, zone)
		if (err != nil) != (want == "") {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if err == nil && got.Format(time.RFC3339Nano) != want && !got.Equal(mustTime(t, want)) {
			t.Errorf("%q is %v, not %s", text, got, want)
		}
	}
}

func mustTime(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// parsed runs a command line up to the point where a server would be asked, which is
// missing.
func parsed(t *testing.T, line string) (code int, errs string) {
	t.Helper()
	var b strings.Builder
	p := newPlace(t)
	env := Env{In: strings.NewReader(""), Out: &b, Err: &b, Dir: p.dir, Getenv: func(k string) string { return p.vars[k] }}
	return Main(t.Context(), env, strings.Fields(line)), b.String()
}

// Wrong calls exit with 2 before anything is done; right ones get as far as to ask
// which server is meant, which exits with 4.
func TestUsage(t *testing.T) {
	t.Parallel()
	const id = "01930e5c-8c54-7a31-9f00-5a3c7e1b2d4f"
	for line, want := range map[string]struct {
		code int
		says string
	}{
		"":                                   {2, "name a command"},
		"dato":                               {2, `unknown command "dato"`},
		"data":                               {2, "name a command of weft data"},
		"data fnd":                           {2, "did you mean find?"},
		"data find extra":                    {2, "usage: weft data find"},
		"data find --tag nocolon":            {2, "has no colon"},
		"data find --transient perhaps":      {2, "neither yes nor no"},
		"data find --duration 1h":            {2, "--duration needs --since"},
		"data find --since never":            {2, "is not a time"},
		"data find --limit -1":               {2, "negative"},
		"data find -o yaml":                  {2, `"yaml" is not a format`},
		"data find -o svg":                   {2, "cannot print svg"},
		"data push":                          {2, "weft data push needs SOURCE..."},
		"data push . --tag knit#id:x":        {2, "reserved"},
		"data tag " + id + " --add knit#x:y": {2, "reserved"},
		"data tag":                           {2, "name data, or select them by --where"},
		"data pull -x " + id + " -":          {2, "leave out --extract"},
		"data lineage -n 0 " + id:            {2, "neither a number from 1 on nor all"},
		"plan active maybe " + id:            {2, "neither yes nor no"},
		"plan active both " + id:             {2, "neither yes nor no"},
		"plan serviceaccount " + id:          {2, "either --set NAME or --unset"},
		"plan resource -s cpu " + id:         {2, "has no ="},
		"plan resource -s cpu=x " + id:       {2, "not a quantity"},
		"plan annotate --add x " + id:        {2, "has no ="},
		"run find -s lost":                   {2, "not a status"},
		"run find -s invalidated":            {2, "not a status"},
		"run wait":                           {2, "say what to wait for"},
		"image rm UPPER":                     {2, "not an image name"},
		"data find --nosuch":                 {2, "unknown flag: --nosuch"},

		"data show short":      {4, `data "short" is not found`},
		"run show " + id + "x": {4, "is not found"},
		"data find":            {4, "which server"},
		"data find -t a:b -t c:d --transient=yes":                   {4, "which server"},
		"data pull " + id + " -":                                    {4, "which server"},
		"plan find -o json -o type:model":                           {4, "which server"},
		"run find -o json -o " + id:                                 {4, "which server"},
		"plan active yes " + id:                                     {4, "which server"},
		"plan resource -s cpu=2 -u memory " + id:                    {4, "which server"},
		"run stop -x " + id:                                         {4, "which server"},
		"run wait -d " + id + " --timeout 1s":                       {4, "which server"},
		"data lineage -u -n all " + id:                              {4, "which server"},
		"data tag " + id + " --add a:b --remove c:d --remove-key e": {4, "which server"},
		"plan apply missing.yaml":                                   {4, "missing.yaml"},
		"data push missing -L -n":                                   {4, "which server"},
		"--help":                                                    {0, "weft [command]"},
		"data push --help":                                          {0, "--dereference"},
		"help exit-codes":                                           {0, "11   weft run wait"},
		"version":                                                   {0, "\n"},
	} {
		code, says := parsed(t, line)
		if code != want.code || !strings.Contains(says, want.says) {
			t.Errorf("weft %s: exit code %d, want %d and %q:\n%s", line, code, want.code, want.says, says)
		}
	}
}

func TestExitCode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("unexpected"), 1},
		{weft.Errorf(weft.Invalid, "x"), 3},
		{fmt.Errorf("y: %w", weft.Errorf(weft.NotFound, "x")), 4},
		{&api.Error{Kind: api.KindConflict}, 5},
		{&api.Error{Kind: api.KindUnauthenticated}, 6},
		{&api.Error{Kind: api.KindForbidden}, 7},
		{&api.Error{Kind: api.KindTooLarge}, 8},
		{&api.Error{Kind: api.KindUnavailable}, 9},
		{&api.Error{Kind: api.KindNoSpace}, 10},
		{&api.Error{Status: 502}, 1},
		{exitError{exitRunFailed, errors.New("x")}, 11},
		{exitError{code: 77}, 77},
		{usageError{err: weft.Errorf(weft.NotFound, "x")}, 2},
	} {
		if got := ExitCode(c.err); got != c.want {
			t.Errorf("%v: exit code %d, not %d", c.err, got, c.want)
		}
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	report(&b, fmt.Errorf("data x: %w", &api.Error{Message: "it broke\nmend it\nthen again", Kind: api.KindInternal, RequestID: "r1", See: "01"}), false)
	const want = `weft: data x: it broke
  mend it
  then again
  see 01
  the server's log tells more under request r1
`
	if b.String() != want {
		t.Errorf("got:\n%s", b.String())
	}
}
