package cli

import (
	"context"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// inProject has every request to the registry be about a project; "" leaves that to the
// token.
type inProject struct {
	http.RoundTripper
	project string
}

// RoundTrip implements http.RoundTripper.
func (t inProject) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.project != "" {
		r = r.Clone(r.Context())
		r.Header.Set(api.ProjectHeader, t.project)
	}
	return t.RoundTripper.RoundTrip(r)
}

func newProject(env Env) *cobra.Command {
	c := newCommon(env)
	member := newGroup(env, "member", "Who has which role in a project", newMemberLs(c), newMemberAdd(c), newMemberRm(c))
	member.GroupID = ""
	cmd := newGroup(env, "project", "Make projects, and say who works in them",
		newProjectLs(c), newProjectShow(c), newProjectAdd(c), newProjectRename(c), newProjectRm(c), member)
	c.addTo(cmd)
	return cmd
}

func newProjectLs(c *common) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the projects that you have a role in",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return c.projectLs(cmd.Context()) },
	}
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

func (c *common) projectLs(ctx context.Context) error {
	client, err := c.clientIn("") // it is what helps when WEFT_PROJECT names one that is not there
	if err != nil {
		return err
	}
	all, err := client.Projects(ctx)
	if err != nil {
		return err
	}
	if c.format == formatJSON {
		return writeJSON(c.Out, all)
	}
	t := table{head: []string{"PROJECT", "ROLE", "ID", "INFO"}}
	for _, p := range all {
		info := ""
		if p.Home {
			info = "used unless another is named"
		}
		t.add(p.Name, p.Role, p.ID, info)
	}
	return t.print(c.Out, c.style(c.Out), c.width())
}

func newProjectShow(c *common) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show PROJECT",
		Short: "Show one project with its members",
		Args:  cobra.ExactArgs(1),
		RunE:  func(cmd *cobra.Command, args []string) error { return c.projectShow(cmd.Context(), args[0]) },
	}
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

func (c *common) projectShow(ctx context.Context, name string) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	p, err := client.Project(ctx, name)
	if err != nil {
		return err
	}
	members, err := client.Members(ctx, name)
	if err != nil {
		return err
	}
	if c.format == formatJSON {
		return writeJSON(c.Out, struct {
			api.Project
			Members []api.Membership `json:"members"`
		}{p, members})
	}
	var f facts
	f.add("project", p.Name)
	f.add("id", p.ID)
	f.add("your role", p.Role)
	for _, m := range members {
		f.add("member", m.User+", "+m.Role)
	}
	return f.print(c.Out, c.style(c.Out))
}

func newProjectAdd(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "add PROJECT",
		Short: "Make a project",
		Long: `Make a project, which you then manage. Tags match within one project only. Names have up to 63
lower-case letters, digits and -. It takes a system administrator.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := weft.CheckProjectName(args[0]); err != nil {
				return usageError{cmd, err}
			}
			return c.with(func(client *api.Client) error {
				_, err := client.CreateProject(cmd.Context(), args[0])
				return c.said(err, "project %s is there; give people roles in it with: weft project member add %s USER ROLE", args[0], args[0])
			})
		},
	}
}

func newProjectRename(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "rename PROJECT NAME",
		Short: "Give a project another name",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := weft.CheckProjectName(args[1]); err != nil {
				return usageError{cmd, err}
			}
			return c.with(func(client *api.Client) error {
				_, err := client.RenameProject(cmd.Context(), args[0], args[1])
				return c.said(err, "project %s is called %s now", args[0], args[1])
			})
		},
	}
}

func newProjectRm(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "rm PROJECT",
		Short: "Delete a project in which nothing is left",
		Long:  `Delete a project in which there are no plans, runs, data and images any more. The tokens that are bound to it end.`,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(func(client *api.Client) error {
				return c.said(client.DeleteProject(cmd.Context(), args[0]), "project %s is removed", args[0])
			})
		},
	}
}

func newMemberLs(c *common) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ls PROJECT",
		Short: "List the members of a project",
		Args:  cobra.ExactArgs(1),
		RunE:  func(cmd *cobra.Command, args []string) error { return c.memberLs(cmd.Context(), args[0]) },
	}
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

func (c *common) memberLs(ctx context.Context, project string) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	all, err := client.Members(ctx, project)
	if err != nil {
		return err
	}
	if c.format == formatJSON {
		return writeJSON(c.Out, all)
	}
	t := table{head: []string{"USER", "KIND", "ROLE"}}
	for _, m := range all {
		t.add(m.User, m.Kind, m.Role)
	}
	return t.print(c.Out, c.style(c.Out), c.width())
}

func newMemberAdd(c *common) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add PROJECT USER ROLE",
		Short: "Give somebody a role in a project",
		Long: `Give somebody a role in a project, instead of the one they had:
viewer   sees everything in it
member   and pushes data and images, registers plans, stops and retries runs
manager  and deletes, and decides about members`,
		Args: cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := weft.ParseRole(args[2]); err != nil {
				return usageError{cmd, err}
			}
			return c.with(func(client *api.Client) error {
				return c.said(client.SetMember(cmd.Context(), args[0], args[1], args[2]), "%s is %s of project %s", args[1], args[2], args[0])
			})
		},
	}
	return cmd
}

func newMemberRm(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "rm PROJECT USER",
		Short: "Take somebody out of a project",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(func(client *api.Client) error {
				return c.said(client.DeleteMember(cmd.Context(), args[0], args[1]), "%s is not a member of project %s any more", args[1], args[0])
			})
		},
	}
}

// with calls act with a client of the server to use.
func (c *common) with(act func(*api.Client) error) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	return act(client)
}

// said tells what was done, to people, unless it failed.
func (c *common) said(err error, format string, args ...any) error {
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.Err, format+"\n", args...)
	return err
}
