package app

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
	"github.com/weft-dev/weft/internal/cli"
	"github.com/weft-dev/weft/internal/operate"
)

// secretFiles are those in the state directory that nobody else may read.
var secretFiles = []string{"admin.token", "keys.json", databaseFile + "*", whereFile, certsDir, certsDir + "/*.pem", certsDir + "/acme", extraKeyFile}

// check adds a check to what the doctor looks at while the server runs. Call it in one of
// the steps that open parts of the process.
func (p *process) check(about string, look func(context.Context) []operate.Finding) {
	p.checks = append(p.checks, operate.Check{About: about, Look: look})
}

// diagnose makes all checks.
func (p *process) diagnose(ctx context.Context) []api.Finding {
	checks := append([]operate.Check{
		operate.CheckModes(p.state.dir, secretFiles...),
		{About: "certificates", Look: p.checkCerts},
		{About: "listener", Look: p.checkListener},
		{About: "sign-in", Look: p.checkAuth},
		{About: "disk", Look: p.checkDisk},
		{About: "database", Look: p.checkDatabase},
		{About: "executor", Look: p.checkExecutor},
	}, p.checks...)
	return wireFindings(operate.Diagnose(ctx, checks))
}

func wireFindings(list []operate.Finding) []api.Finding {
	found := []api.Finding{}
	for _, f := range list {
		found = append(found, api.Finding{Level: string(f.Level), About: f.About, Problem: f.Problem, Advice: f.Advice})
	}
	return found
}

// finding makes a list of one, whose subject is the check's.
func finding(level operate.Level, problem, advice string) []operate.Finding {
	return []operate.Finding{{Level: level, Problem: problem, Advice: advice}}
}

func (p *process) checkCerts(context.Context) []operate.Finding {
	if p.certs == nil {
		return nil
	}
	return p.certs.Findings(time.Now())
}

func (p *process) checkListener(context.Context) []operate.Finding {
	address := p.listener.Addr().String()
	host, _, err := net.SplitHostPort(address)
	if err != nil || isLoopback(host) || p.certs != nil {
		return nil
	}
	if len(p.Proxies) == 0 {
		return finding(operate.Warning, "tokens cross the network to "+address+" in clear, unless a load balancer before it speaks TLS",
			"drop --plain-http; or, if there is one, name it in trusted-proxies, so that the audit log has the clients' addresses")
	}
	return finding(operate.Notice, address+" speaks no TLS, which is left to "+strings.Join(p.Config.Proxies, ", "), "see to it that nobody else can reach that address")
}

func (p *process) checkAuth(context.Context) []operate.Finding {
	if !p.NoAuth {
		return nil
	}
	host, _, _ := net.SplitHostPort(p.listener.Addr().String())
	if isLoopback(host) {
		return finding(operate.Warning, "every user and every program on this machine is the administrator (no-auth)", "drop --no-auth")
	}
	return finding(operate.Fault, "everyone who can reach "+p.listener.Addr().String()+" is the administrator (no-auth)", "drop --no-auth")
}

func (p *process) checkDisk(context.Context) []operate.Finding {
	free, total, err := p.content.Free()
	if err != nil {
		return finding(operate.Fault, "the disk cannot be looked at: "+err.Error(), "see whether it is there, and mounted")
	}
	reserve, err := p.content.Reserved()
	if err != nil {
		return finding(operate.Fault, err.Error(), "see whether the disk is there, and mounted")
	}
	advice := "make room: remove runs with weft run rm, or data that nobody needs"
	const nearly = 3 // reserves
	switch tells := fmt.Sprintf("%s of %s are free, and %s stay in reserve", size(free), size(total), size(reserve)); {
	case free <= reserve:
		return finding(operate.Fault, "the disk is full: "+tells+"; nothing new starts, and uploads are refused", advice)
	case free <= nearly*reserve:
		return finding(operate.Warning, "the disk is nearly full: "+tells, advice)
	}
	return nil
}

// size writes a number of bytes for people.
func size(n int64) string {
	const giga = 1e9
	return fmt.Sprintf("%.1f GB", float64(n)/giga)
}

func (p *process) checkDatabase(ctx context.Context) []operate.Finding {
	if _, err := p.store.LastCursor(ctx); err != nil {
		return finding(operate.Fault, "the database does not answer: "+err.Error(), "see whether it runs, and whether this machine reaches it")
	}
	return nil
}

func (p *process) checkExecutor(ctx context.Context) []operate.Finding {
	if _, err := p.executor.Capacity(ctx); err != nil {
		return finding(operate.Fault, "containers cannot be run: "+err.Error(), "see whether what runs them is installed and works")
	}
	return nil
}

func (a *admin) newDoctor() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what is wrong with the server, and what to do about it",
		Long: `Look at the server of this machine, and say what is wrong with it and what to do: first what does
not work (fault), then what is unwise or needs doing soon (warning), then what somebody should know
(notice). If there is a fault the exit code is 13, else 0.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			found, err := a.examine(cmd.Context())
			if err != nil {
				return err
			}
			return a.report(found, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

// examine asks the server that runs; where none runs, it looks at what is there.
func (a *admin) examine(ctx context.Context) ([]api.Finding, error) {
	c, err := a.config()
	if err != nil {
		return []api.Finding{{Level: string(operate.Fault), About: "settings", Problem: err.Error(), Advice: adviceOf(err)}}, nil
	}
	if _, err := os.Stat(c.State); err != nil {
		return nil, weft.Errorf(weft.NotFound, "there is no state directory %s", c.State).WithAdvice("name the server's state directory with --state")
	}
	up, err := runs(c.State)
	if err != nil {
		return nil, err
	}
	if !up {
		return append([]api.Finding{{Level: string(operate.Fault), About: "server", Problem: "no server runs on " + c.State, Advice: "start it with weft serve"}},
			wireFindings(operate.Diagnose(ctx, a.offline(c)))...), nil
	}
	server, err := client(c.State, "weft/"+a.Version)
	if err != nil {
		return nil, err
	}
	return server.Doctor(ctx)
}

// offline is what can be looked at without a server.
func (a *admin) offline(c Config) []operate.Check {
	return []operate.Check{
		operate.CheckModes(c.State, secretFiles...),
		{About: "certificates", Look: func(context.Context) []operate.Finding {
			if _, err := os.Stat(filepath.Join(c.State, certsDir)); err != nil {
				return nil // no TLS was spoken
			}
			certs, err := operate.OpenCerts(filepath.Join(c.State, certsDir))
			if err != nil {
				return finding(operate.Fault, err.Error(), "be the user who runs the server")
			}
			return certs.Findings(time.Now())
		}},
	}
}

func (a *admin) report(found []api.Finding, asJSON bool) error {
	if asJSON {
		if err := writeJSON(a.Out, found); err != nil {
			return err
		}
	} else if len(found) == 0 {
		fmt.Fprintln(a.Out, "all is well") // who cannot read it has the exit code
	}
	fault := false
	for _, f := range found {
		fault = fault || f.Level == string(operate.Fault)
		if !asJSON {
			fmt.Fprintf(a.Out, "%s: %s: %s\n  %s\n", f.Level, f.About, f.Problem, f.Advice)
		}
	}
	if fault {
		return cli.ErrFault
	}
	return nil
}
