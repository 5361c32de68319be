package weft

import (
	"strings"
	"time"
)

// A Secret is a text that Runs of a project are given under its name. Its value is never
// told.
type Secret struct {
	Project   ProjectID
	Name      string
	ChangedAt time.Time
	By        PrincipalID // who set it last
}

// RegistrySecret is the name of the secret in which a project keeps its credentials for
// an image registry (host or host:port), as USER:PASSWORD.
func RegistrySecret(host string) string {
	return "registry." + strings.NewReplacer(":", "_", "[", "", "]", "").Replace(strings.ToLower(host))
}
