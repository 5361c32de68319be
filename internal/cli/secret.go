package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

func newSecret(env Env) *cobra.Command {
	c := newCommon(env)
	cmd := newGroup(env, "secret", "Keep passwords and keys that runs are given",
		newSecretSet(c), newSecretLs(c), newSecretRm(c))
	c.addTo(cmd)
	return cmd
}

type secretSetOptions struct {
	*common
	file string
}

func newSecretSet(c *common) *cobra.Command {
	o := secretSetOptions{common: c}
	cmd := &cobra.Command{
		Use:   "set NAME",
		Short: "Set a secret of the project",
		Long: `Set a secret of the project, or replace it. Plans name it under secrets:, and their runs are
given the value as a variable of their environment; in logs it is masked.

The value is read from standard input, and asked for on a terminal; one newline at its end is
left out. --file takes a file as it is. It is kept encrypted, and can be read by no command.
Setting and removing secrets takes a manager of the project.`,
		Example: `  printf %s "$PASSWORD" | weft secret set database-password
  weft secret set deploy-key --file id_ed25519`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 { // what is too much is not repeated: it may be the value
				return usagef(cmd, "weft secret set takes NAME only; arguments can be read by every user of this machine, so the value is read from standard input")
			}
			if len(args) == 0 {
				return usagef(cmd, "weft secret set needs NAME")
			}
			if err := weft.ValidateSecretName(args[0]); err != nil {
				return usageError{cmd, err}
			}
			return o.do(cmd.Context(), args[0])
		},
	}
	cmd.Flags().StringVarP(&o.file, "file", "f", "", "read the value from a `file`")
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

func (o *secretSetOptions) do(ctx context.Context, name string) error {
	value, err := o.read(name)
	if err != nil {
		return err
	}
	if err := weft.ValidateSecret(value); err != nil {
		return err
	}
	client, err := o.client()
	if err != nil {
		return err
	}
	v, err := client.SetSecret(ctx, name, value)
	if err != nil {
		return err
	}
	if o.format == formatJSON {
		return writeJSON(o.Out, v)
	}
	fmt.Fprintf(o.Err, "secret %s is set\n", name)
	return nil
}

// maxSecretRead is more than any secret may have.
const maxSecretRead = 1 << 20

func (o *secretSetOptions) read(name string) (string, error) {
	if o.file != "" {
		f, err := o.open(o.file)
		if err != nil {
			return "", err
		}
		defer f.Close()
		b, err := io.ReadAll(io.LimitReader(f, maxSecretRead))
		return string(b), err
	}
	if in, ok := o.In.(*os.File); ok && term.IsTerminal(int(in.Fd())) {
		fmt.Fprintf(o.Err, "value of %s: ", name)
		b, err := term.ReadPassword(int(in.Fd()))
		fmt.Fprintln(o.Err)
		return string(b), err
	}
	b, err := io.ReadAll(io.LimitReader(o.In, maxSecretRead))
	return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), err
}

func newSecretLs(c *common) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the secrets of the project, without their values",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := c.client()
			if err != nil {
				return err
			}
			all, err := client.Secrets(cmd.Context())
			if err != nil {
				return err
			}
			return c.printSecrets(all)
		},
	}
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

func (c *common) printSecrets(all []api.Secret) error {
	if c.format == formatJSON {
		return writeJSON(c.Out, all)
	}
	t := table{head: []string{"NAME", "SET", "USED BY"}}
	for _, v := range all {
		set := "never: its runs wait"
		if v.ChangedAt != nil {
			set = localTime(v.ChangedAt.Time)
		}
		t.add(printable(v.Name), set, count(int64(len(v.Plans)), "plan"))
	}
	return t.print(c.Out, c.style(c.Out), c.width())
}

func newSecretRm(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "rm NAME",
		Short: "Remove a secret of the project",
		Long: `Remove a secret of the project. Runs that were given it go on; new runs of plans that name it
wait until it is set again.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := c.client()
			if err != nil {
				return err
			}
			if err := client.RemoveSecret(cmd.Context(), args[0]); err != nil {
				return err
			}
			fmt.Fprintf(c.Err, "secret %s is removed\n", args[0])
			return nil
		},
	}
}
