package cli

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

func newNotification(env Env) *cobra.Command {
	c := newCommon(env)
	cmd := newGroup(env, "notification", "Have people told of runs, by mail or in a chat",
		newNotificationAdd(c), newNotificationLs(c), newNotificationRm(c), newNotificationTest(c))
	c.addTo(cmd)
	return cmd
}

type notificationAddOptions struct {
	*common
	on, plans, tags, mail []string
	after                 time.Duration
	urlFile, secretFile   string
}

func newNotificationAdd(c *common) *cobra.Command {
	o := notificationAddOptions{common: c}
	cmd := &cobra.Command{
		Use:   "add [URL]",
		Short: "Have somebody told of runs of the project",
		Long: `Have somebody told when runs of the project have failed, are done, or wait too long: at a URL,
to which a JSON object is posted with a text as Slack and its like show it, or by mail.
A URL of that kind is a secret itself: it is kept encrypted, and --url-file reads it from
a file, so that it is in no shell history. What happens within five minutes of
a message is told together in the next. It takes a manager of the project.`,
		Example: `  weft notification add --on failed --url-file slack-url
  weft notification add --on failed,done --plan trainer --mail ml-team@example.com
  weft notification add --on waiting --after 30m https://hooks.example.com/weft --secret-file key`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := o.parse(args)
			if err != nil {
				return usageError{cmd, err}
			}
			return o.do(cmd.Context(), n)
		},
	}
	fs := cmd.Flags()
	fs.StringSliceVar(&o.on, "on", []string{string(weft.OnFailed)}, "`occasions`: failed, done, waiting")
	fs.StringSliceVar(&o.plans, "plan", nil, "only runs of these `plans`: ids, names or images")
	fs.StringArrayVarP(&o.tags, "tag", "t", nil, "only runs of plans with an input, output or log that has this `tag`; repeat it for those that have all")
	fs.DurationVar(&o.after, "after", 0, "what waits longer than that `long` waits too long (default 1h)")
	fs.StringSliceVar(&o.mail, "mail", nil, "`addresses` to send mail to")
	fs.StringVar(&o.urlFile, "url-file", "", "read the URL from a `file`")
	fs.StringVar(&o.secretFile, "secret-file", "", "sign what the URL gets with the secret in a `file`")
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

func (o *notificationAddOptions) parse(args []string) (api.NewNotification, error) {
	n := api.NewNotification{On: o.on, Plans: o.plans, Mail: o.mail}
	if o.after != 0 {
		n.After = o.after.String()
	}
	tags, err := weft.ParseTags(o.tags...)
	if err != nil {
		return n, err
	}
	for _, t := range tags {
		n.Tags = append(n.Tags, api.Tag{Key: t.Key(), Value: t.Value()})
	}
	if len(args) == 1 {
		n.URL = args[0]
	}
	for file, to := range map[string]*string{o.urlFile: &n.URL, o.secretFile: &n.Secret} {
		if file == "" {
			continue
		}
		b, err := os.ReadFile(file)
		if err != nil {
			return n, err
		}
		*to = strings.TrimSpace(string(b))
	}
	if (n.URL == "") == (len(n.Mail) == 0) {
		return n, weft.Errorf(weft.Invalid, "give either a URL or addresses with --mail")
	}
	return n, nil
}

func (o *notificationAddOptions) do(ctx context.Context, n api.NewNotification) error {
	client, err := o.client()
	if err != nil {
		return err
	}
	made, err := client.CreateNotification(ctx, n)
	if err != nil {
		return err
	}
	if o.format == formatJSON {
		return writeJSON(o.Out, made)
	}
	fmt.Fprintf(o.Err, "notification %s is made; `weft notification test %s` sends a test\n", made.ID, made.ID)
	return nil
}

func newNotificationLs(c *common) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List who is told what",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(func(client *api.Client) error {
				all, err := client.Notifications(cmd.Context())
				if err != nil {
					return err
				}
				if c.format == formatJSON {
					return writeJSON(c.Out, all)
				}
				t := table{head: []string{"NOTIFICATION", "ON", "TO", "ONLY", "ERROR"}}
				for _, n := range all {
					t.add(n.ID, strings.Join(n.On, " "), strings.Join(append(n.Mail, n.Host), " "), onlyOf(n), n.Error)
				}
				return t.print(c.Out, c.style(c.Out), c.width())
			})
		},
	}
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

func onlyOf(n api.Notification) string {
	parts := append([]string(nil), n.Plans...)
	for _, t := range n.Tags {
		parts = append(parts, t.Key+":"+t.Value)
	}
	if n.After != "" {
		parts = append(parts, "after "+n.After)
	}
	return strings.Join(parts, " ")
}

func newNotificationRm(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "rm NOTIFICATION...",
		Short: "Tell no more",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(func(client *api.Client) error {
				for _, id := range args {
					if err := c.said(client.DeleteNotification(cmd.Context(), id), "notification %s is removed", id); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

func newNotificationTest(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "test NOTIFICATION",
		Short: "Send a test at once, and say what came of it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(func(client *api.Client) error {
				return c.said(client.TestNotification(cmd.Context(), args[0]), "a test was sent by notification %s", args[0])
			})
		},
	}
}
