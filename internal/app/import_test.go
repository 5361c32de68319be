package app

import (
	"testing"

	"github.com/weft-dev/weft"
)

// No root gives away the data of every project, and no listener is anybody's.
func TestImportSettings(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]importConfig{
		"the state itself":            {Roots: []string{"/var/lib/weft"}},
		"around the state":            {Roots: []string{"/var"}},
		"in the state":                {Roots: []string{"/srv", "/var/lib/weft/content"}},
		"everything":                  {Roots: []string{"/"}},
		"in the state, by dots":       {Roots: []string{"/srv/../var/lib/weft/import"}},
		"not absolute":                {Roots: []string{"srv"}},
		"the inbox":                   {Roots: []string{"/srv/inbox"}, Inbox: "/srv/inbox"},
		"around the inbox":            {Roots: []string{"/srv"}, Inbox: "/srv/inbox"},
		"a listener without project":  {Listen: "127.0.0.1:0"},
		"a listener without its port": {Listen: "127.0.0.1", Project: "default"},
	} {
		if err := c.check("/var/lib/weft"); weft.KindOf(err) != weft.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	good := importConfig{Roots: []string{"/srv/data", "/var/lib/weft-data"}, Inbox: "/srv/inbox", Listen: "127.0.0.1:0", Project: "default"}
	if err := good.check("/var/lib/weft"); err != nil {
		t.Error(err)
	}
}
