package cli

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

var shownCode = regexp.MustCompile(`[B-Z]{4}-[B-Z]{4}`)

// letInCmd is let-in DECISION COMMAND…: runs a command that shows a code, and decides about
// it as hanako with a browser would: "allow" or "deny". What it prints is checked by
// stdout and stderr, as with exec; with "deny" the command must fail.
func letInCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: let-in DECISION COMMAND…")
	}
	r, w, err := os.Pipe()
	ts.Check(err)
	env := Env{In: strings.NewReader(""), Out: io.Discard, Err: w, Getenv: ts.Getenv, Dir: ts.MkAbs("."), Version: "v1.2.3"}
	done := make(chan int, 1)
	go func() {
		defer w.Close()
		done <- Main(context.Background(), env, args[1:])
	}()
	var said strings.Builder
	for lines := bufio.NewScanner(r); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if code := shownCode.FindString(lines.Text()); code != "" && !strings.Contains(lines.Text(), "user_code") {
			decide(ts, code, args[0])
		}
	}
	_, err = io.WriteString(ts.Stderr(), said.String())
	ts.Check(err)
	if code := <-done; (code == 0) != (args[0] == "allow") {
		ts.Fatalf("exit code %d", code)
	}
}

// decide signs in as hanako by the pages, and decides about a code.
func decide(ts *testscript.TestScript, code, decision string) {
	jar, err := cookiejar.New(nil)
	ts.Check(err)
	browser := &http.Client{Jar: jar}
	base := ts.Getenv("SERVER")
	for _, step := range []struct {
		path string
		form url.Values
	}{
		{"/sign-in", url.Values{"name": {"hanako"}, "password": {testPassword}}},
		{"/device", url.Values{"user_code": {strings.ToLower(code)}, "decision": {decision}}},
	} {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, base+step.path, strings.NewReader(step.form.Encode()))
		ts.Check(err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", base)
		res, err := browser.Do(req)
		ts.Check(err)
		text, err := io.ReadAll(res.Body)
		ts.Check(err)
		ts.Check(res.Body.Close())
		if res.StatusCode != http.StatusOK {
			ts.Fatalf("%s: %s\n%s", step.path, res.Status, text)
		}
	}
}
