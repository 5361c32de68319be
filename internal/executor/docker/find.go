package docker

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// Hosts returns where an engine may listen for this user, the likeliest first: what
// DOCKER_HOST says and nothing else, or else Docker's and Podman's usual sockets, those
// that are there.
func Hosts(getenv func(string) string) []string {
	if host := getenv("DOCKER_HOST"); host != "" {
		return []string{host}
	}
	runtimeDir := getenv("XDG_RUNTIME_DIR")
	if runtimeDir == "" {
		runtimeDir = "/run/user/" + strconv.Itoa(os.Getuid())
	}
	sockets := []string{
		filepath.Join(runtimeDir, "docker.sock"), // Docker without root
		"/var/run/docker.sock",
		filepath.Join(runtimeDir, "podman/podman.sock"), // Podman without root
		"/run/podman/podman.sock",
		filepath.Join(getenv("HOME"), ".docker/run/docker.sock"),
	}
	sockets = slices.DeleteFunc(sockets, func(name string) bool {
		info, err := os.Stat(name)
		return err != nil || info.Mode()&os.ModeSocket == 0
	})
	for i, name := range sockets {
		sockets[i] = "unix://" + name
	}
	return sockets
}
