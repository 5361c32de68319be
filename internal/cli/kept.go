package cli

import (
	"context"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// kept is the flags by which the find commands keep their conditions under a name, and
// use them again.
type kept struct {
	save, use string
	shared    bool
}

func (k *kept) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVar(&k.use, "saved", "", "add the conditions of the search kept under that `name`")
	cmd.Flags().StringVar(&k.save, "save", "", "keep these conditions under a `name`")
	cmd.Flags().BoolVar(&k.shared, "shared", false, "with --save: let everyone in the project use it")
}

// more returns the conditions of the search that is to be used, if any.
func (k *kept) more(ctx context.Context, client *api.Client, kind string) (url.Values, error) {
	if k.use == "" {
		return nil, nil
	}
	all, err := client.Searches(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		switch {
		case s.Name != k.use:
		case s.Kind != kind:
			return nil, weft.Errorf(weft.Conflict, "the search %s is for %s", s.Name, plural(s.Kind)).WithAdvice("use it as: weft %s find --saved %s", s.Kind, s.Name)
		default:
			return url.ParseQuery(s.Query)
		}
	}
	return nil, weft.Errorf(weft.NotFound, "there is no search %q", k.use).WithAdvice("`weft search ls` lists them; find --save NAME keeps one")
}

// keep keeps the conditions, if that was asked for.
func (k *kept) keep(ctx context.Context, client *api.Client, kind string, query url.Values) error {
	if k.save == "" {
		return nil
	}
	return client.SaveSearch(ctx, k.save, api.SearchQuery{Kind: kind, Query: query.Encode(), Shared: k.shared})
}

// plural is what there are several of.
func plural(kind string) string {
	if kind == weft.SubjectData {
		return kind
	}
	return kind + "s"
}
