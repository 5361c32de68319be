package cli

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

func newUser(env Env) *cobra.Command {
	c := newCommon(env)
	cmd := newGroup(env, "user", "Make and change the accounts of people and services",
		newUserLs(c), newUserShow(c), newUserAdd(c), newUserChange(c), newUserDisable(c), newUserEnable(c), newUserPassword(c), newUserRm(c))
	c.addTo(cmd)
	return cmd
}

func newUserLs(c *common) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the users",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return c.userLs(cmd.Context()) },
	}
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

func (c *common) userLs(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	all, err := client.Users(ctx)
	if err != nil {
		return err
	}
	if c.format == formatJSON {
		return writeJSON(c.Out, all)
	}
	t := table{head: []string{"USER", "KIND", "HOME", "SIGNED IN", "INFO"}}
	for _, u := range all {
		t.add(u.Name, u.Kind, u.Home, momentOr(u.SignedInAt, ""), userInfo(u))
	}
	return t.print(c.Out, c.style(c.Out), c.width())
}

// momentOr writes a time for people, or what stands for none.
func momentOr(t *api.Time, none string) string {
	if t == nil {
		return none
	}
	return localTime(t.Time)
}

func userInfo(u api.User) string {
	var info []string
	for text, is := range map[string]bool{"administrator": u.Admin, "disabled": u.Disabled, u.FullName: u.FullName != ""} {
		if is {
			info = append(info, text)
		}
	}
	slices.Sort(info)
	return strings.Join(info, ", ")
}

func newUserShow(c *common) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show USER",
		Short: "Show one user, with roles",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(func(client *api.Client) error {
				u, err := client.User(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return c.showUser(u)
			})
		},
	}
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

func (c *common) showUser(u api.User) error {
	if c.format == formatJSON {
		return writeJSON(c.Out, u)
	}
	var f facts
	f.add("user", u.Name+", a "+u.Kind)
	f.add("id", u.ID)
	f.add("info", userInfo(u))
	f.add("address", u.Email)
	f.add("home", u.Home)
	for _, project := range slices.Sorted(maps.Keys(u.Roles)) {
		f.add("role", u.Roles[project]+" of "+project)
	}
	for _, i := range u.Identities {
		f.add("known as", i.Subject+" to "+i.Issuer)
	}
	f.add("made", localTime(u.CreatedAt.Time))
	f.add("signed in", momentOr(u.SignedInAt, "never"))
	return f.print(c.Out, c.style(c.Out))
}

type userAddOptions struct {
	*common
	service, admin, none, stdin bool
	fullName, email, role       string
}

func newUserAdd(c *common) *cobra.Command {
	o := userAddOptions{common: c}
	cmd := &cobra.Command{
		Use:   "add USER",
		Short: "Make an account",
		Long: `Make an account. The project named by --project, or else yours, becomes its home, and --role gives it
a role there. A person gets a password, which is made up and printed once, unless it comes from standard input;
with --no-password, someone who signs in by OpenID or LDAP can take the account over. A service has no password:
"weft token add NAME --user USER" makes it a token. Names have up to 64 lower-case letters, digits and . _ @ + -.`,
		Example: `  weft user add alice --role member --full-name "Alice Example"
  weft user add ci --service --role member`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := o.parse(args[0])
			if err != nil {
				return usageError{cmd, err}
			}
			return o.do(cmd.Context(), n)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.service, "service", false, "a program, which has tokens only")
	f.BoolVar(&o.admin, "admin", false, "administers the whole system")
	f.BoolVar(&o.none, "no-password", false, "signs in from outside only")
	f.BoolVar(&o.stdin, "password-stdin", false, "read the password from standard input")
	f.StringVar(&o.fullName, "full-name", "", "`name` for people")
	f.StringVar(&o.email, "email", "", "`address` for notifications")
	f.StringVar(&o.role, "role", "", "`role` in the project: viewer, member or manager")
	return cmd
}

func (o *userAddOptions) parse(name string) (api.NewUser, error) {
	n := api.NewUser{Name: name, Kind: string(weft.Person), FullName: o.fullName, Email: o.email, Admin: o.admin, Role: o.role}
	if o.service {
		n.Kind = string(weft.Service)
	}
	if o.none && o.stdin || o.service && o.stdin {
		return n, errors.New("a password comes from standard input, or there is none")
	}
	if o.role != "" {
		if _, err := weft.ParseRole(o.role); err != nil {
			return n, err
		}
	}
	return n, weft.CheckUserName(name)
}

func (o *userAddOptions) do(ctx context.Context, n api.NewUser) error {
	client, err := o.client()
	if err != nil {
		return err
	}
	made := false
	switch {
	case o.stdin:
		if n.Password, err = readLine(o.In); err != nil {
			return err
		}
	case !o.service && !o.none:
		n.Password, made = rand.Text(), true
	}
	u, err := client.CreateUser(ctx, n)
	if err := o.said(err, "user %s is there, with the home %s", u.Name, u.Home); err != nil {
		return err
	}
	if made {
		fmt.Fprintln(o.Err, "its password, shown only now:")
		fmt.Fprintln(o.Out, n.Password)
	}
	return nil
}

// readLine reads one line, such as a password.
func readLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read from standard input: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

// ask asks for something that must not be seen, on a terminal, or else reads a line.
func (c *common) ask(what string) (string, error) {
	f, ok := c.In.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return readLine(c.In)
	}
	fmt.Fprint(c.Err, what+": ")
	text, err := term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(c.Err)
	if err != nil {
		return "", fmt.Errorf("read from the terminal: %w", err)
	}
	return string(text), nil
}

type userChangeOptions struct {
	*common
	admin, unlock         bool
	fullName, email, home string
}

func newUserChange(c *common) *cobra.Command {
	o := userChangeOptions{common: c}
	cmd := &cobra.Command{
		Use:     "change USER",
		Short:   "Change an account",
		Long:    `Change an account. Your own name for people, address and home you can change yourself; the rest takes a system administrator.`,
		Example: "  weft user change alice --admin\n  weft user change alice --unlock",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			change := o.parse(cmd)
			if change == (api.UserChange{}) {
				return usagef(cmd, "say what to change")
			}
			return o.change(cmd.Context(), args[0], change, "user %s is changed")
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.admin, "admin", false, "administers the whole system; --admin=false ends that")
	f.BoolVar(&o.unlock, "unlock", false, "forget sign-ins that failed, so that it can sign in at once")
	f.StringVar(&o.fullName, "full-name", "", "`name` for people")
	f.StringVar(&o.email, "email", "", "`address` for notifications")
	f.StringVar(&o.home, "home", "", "`project` to use where none is named")
	return cmd
}

func (o *userChangeOptions) parse(cmd *cobra.Command) api.UserChange {
	c := api.UserChange{Unlock: o.unlock}
	if cmd.Flags().Changed("admin") {
		c.Admin = &o.admin
	}
	for name, set := range map[string]struct {
		to   **string
		from *string
	}{"full-name": {&c.FullName, &o.fullName}, "email": {&c.Email, &o.email}, "home": {&c.Home, &o.home}} {
		if cmd.Flags().Changed(name) {
			*set.to = set.from
		}
	}
	return c
}

func (c *common) change(ctx context.Context, user string, change api.UserChange, done string) error {
	return c.with(func(client *api.Client) error {
		_, err := client.ChangeUser(ctx, user, change)
		return c.said(err, done, user)
	})
}

func newUserDisable(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "disable USER",
		Short: "Keep a user out; its tokens and sessions end",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			on := true
			return c.change(cmd.Context(), args[0], api.UserChange{Disabled: &on}, "user %s is disabled; its tokens and sessions have ended")
		},
	}
}

func newUserEnable(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "enable USER",
		Short: "Let a disabled user in again",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			off := false
			return c.change(cmd.Context(), args[0], api.UserChange{Disabled: &off}, "user %s can sign in again")
		},
	}
}

type userPasswordOptions struct {
	*common
	generate, none bool
}

func newUserPassword(c *common) *cobra.Command {
	o := userPasswordOptions{common: c}
	cmd := &cobra.Command{
		Use:   "password USER",
		Short: "Set a password",
		Long: `Set a password, which is asked for, or read from standard input. It ends the user's sessions.
To set your own without being a system administrator takes the present one, which comes first.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.generate && o.none {
				return usagef(cmd, "--generate and --none exclude each other")
			}
			return o.do(cmd.Context(), args[0])
		},
	}
	cmd.Flags().BoolVar(&o.generate, "generate", false, "make one up and print it once")
	cmd.Flags().BoolVar(&o.none, "none", false, "take the password away; the user then signs in from outside only")
	return cmd
}

func (o *userPasswordOptions) do(ctx context.Context, user string) error {
	client, err := o.client()
	if err != nil {
		return err
	}
	me, err := client.Me(ctx)
	if err != nil {
		return err
	}
	var p api.Password
	if o.In != nil && !me.Admin {
		in := bufio.NewReader(o.In)
		if f, ok := o.In.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
			o.In = in // both come from it, line by line
		}
		if p.Current, err = o.ask("present password"); err != nil {
			return err
		}
	}
	switch {
	case o.none:
	case o.generate:
		p.Password = rand.Text()
	default:
		if p.Password, err = o.ask("new password"); err != nil {
			return err
		}
		if p.Password == "" {
			return weft.Errorf(weft.Invalid, "the password is empty").WithAdvice("--none takes it away")
		}
	}
	if err := o.said(client.SetPassword(ctx, user, p), "the password of %s is set; its sessions have ended", user); err != nil {
		return err
	}
	if o.generate {
		fmt.Fprintln(o.Out, p.Password)
	}
	return nil
}

func newUserRm(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "rm USER",
		Short: "Delete an account with its tokens and sessions",
		Long:  `Delete an account. Its tokens and sessions end at once. What it did stays, in the audit log under its name.`,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(func(client *api.Client) error {
				return c.said(client.DeleteUser(cmd.Context(), args[0]), "user %s is removed", args[0])
			})
		},
	}
}
