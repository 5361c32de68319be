package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
)

type imageLoginOptions struct {
	*common
	user string
}

func newImageLogin(c *common) *cobra.Command {
	o := imageLoginOptions{common: c}
	cmd := &cobra.Command{
		Use:   "login REGISTRY",
		Short: "Give the project credentials for another registry",
		Long: `Keeps a user name and a password (or token) with which the server pulls the images of the
project's plans from another registry, such as ghcr.io. The password is read from standard
input, and asked for on a terminal. It is kept encrypted, as a secret of the project. The
server's own registry needs none.`,
		Example: `  weft image login ghcr.io --user ann
  printf %s "$TOKEN" | weft image login registry.example.org:5000 --user robot`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			host, err := o.parse(args[0])
			if err != nil {
				return usageError{cmd, err}
			}
			return o.do(cmd.Context(), host)
		},
	}
	cmd.Flags().StringVarP(&o.user, "user", "u", "", "`name` of the user at the registry")
	return cmd
}

// parse returns the host as the names of images have it.
func (o *imageLoginOptions) parse(host string) (string, error) {
	switch {
	case o.user == "":
		return "", fmt.Errorf("--user is missing")
	case strings.Contains(o.user, ":"):
		return "", fmt.Errorf("the user name %q has a colon in it", o.user)
	}
	return registryHost(host)
}

func registryHost(host string) (string, error) {
	if host == "docker.io" || host == "hub.docker.com" {
		host = "index.docker.io" // by which Docker Hub is asked
	}
	if err := weft.ValidateSecretName(weft.RegistrySecret(host)); err != nil || strings.Contains(host, "/") {
		return "", weft.Errorf(weft.Invalid, "%q is not the address of a registry", host).WithAdvice("write it like ghcr.io or registry.example.org:5000")
	}
	return host, nil
}

func (o *imageLoginOptions) do(ctx context.Context, host string) error {
	secret := secretSetOptions{common: o.common}
	password, err := secret.read("password of " + o.user + " at " + host)
	if err != nil {
		return err
	}
	client, err := o.client()
	if err != nil {
		return err
	}
	if _, err := client.SetSecret(ctx, weft.RegistrySecret(host), o.user+":"+password); err != nil {
		return err
	}
	_, err = fmt.Fprintf(o.Err, "the project has credentials for %s, as the secret %s\n", host, weft.RegistrySecret(host))
	return err
}

func newImageLogout(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "logout REGISTRY",
		Short: "Take the project's credentials for another registry away",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			host, err := registryHost(args[0])
			if err != nil {
				return usageError{cmd, err}
			}
			client, err := c.client()
			if err != nil {
				return err
			}
			return client.RemoveSecret(cmd.Context(), weft.RegistrySecret(host))
		},
	}
}
