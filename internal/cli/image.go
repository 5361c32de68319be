package cli

import "github.com/spf13/cobra"

func newImage(env Env) *cobra.Command {
	c := newCommon(env)
	cmd := newGroup(env, "image", "Put images into the server's registry", newImagePush(c), newImageLs(c), newImageRm(c), newImageLogin(c), newImageLogout(c))
	c.addTo(cmd)
	return cmd
}
