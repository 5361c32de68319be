package cli

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft/api"
)

type auditOptions struct {
	*common
	export                     bool
	user, action, since, until string
	limit                      int
	after                      int64
}

func newAudit(env Env) *cobra.Command {
	o := auditOptions{common: newCommon(env)}
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Tell who changed what, and who signed in",
		Long: `Show the latest of the audit log: every change and every sign-in, with who, when, from where, and what came
of it. Administrators see all of it, or with --project what was done in one; managers what was done in their
projects. With --export all of it is printed, one entry of JSON in a line, in its order; to go on from
there later, give the seq of the last one to --after.`,
		Example: `  weft audit --user alice --since 2026-11-22
  weft audit --export --after 4711 >> audit.jsonl`,
		GroupID: clientGroup,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := o.parse()
			if err != nil {
				return usageError{cmd, err}
			}
			return o.do(cmd.Context(), q)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.export, "export", false, "print everything, one entry of JSON in a line")
	f.StringVar(&o.user, "user", "", "only what this `user` did: a name, or the id of one who is gone")
	f.StringVar(&o.action, "action", "", "only this `action`, such as create-plan or sign-in")
	f.StringVar(&o.since, "since", "", "only from that `time` on")
	f.StringVar(&o.until, "until", "", "only before that `time`")
	f.Int64Var(&o.after, "after", 0, "only what follows the entry with this `seq`")
	f.IntVar(&o.limit, "limit", 0, "at most so `many` (default: 100)")
	o.addTo(cmd)
	o.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

func (o *auditOptions) parse() (api.AuditQuery, error) {
	q := api.AuditQuery{User: o.user, Action: o.action, After: o.after, Limit: o.limit}
	if o.limit < 0 || o.export && o.limit != 0 {
		return q, errors.New("--limit is a positive number, and not for --export")
	}
	for text, at := range map[*string]*time.Time{&o.since: &q.Since, &o.until: &q.Until} {
		if *text == "" {
			continue
		}
		t, err := parseLooseTime(*text, time.Local)
		if err != nil {
			return q, err
		}
		*at = t
	}
	return q, nil
}

func (o *auditOptions) do(ctx context.Context, q api.AuditQuery) error {
	client, err := o.client()
	if err != nil {
		return err
	}
	if o.export {
		all, err := client.ExportAudit(ctx, q)
		if err != nil {
			return err
		}
		defer all.Close()
		_, err = io.Copy(o.Out, all)
		return err
	}
	entries, err := client.Audit(ctx, q)
	if err != nil {
		return err
	}
	if o.format == formatJSON {
		return writeJSON(o.Out, entries)
	}
	t := table{head: []string{"SEQ", "WHEN", "WHO", "FROM", "ACTION", "RESULT", "PROJECT", "WHAT"}}
	for _, e := range entries {
		t.add(strconv.FormatInt(e.Seq, 10), localTime(e.At.Time), e.User, e.From, e.Action, e.Result, e.Project, strings.Trim(e.Object+", "+e.Detail, ", "))
	}
	return t.print(o.Out, o.style(o.Out), o.width())
}
