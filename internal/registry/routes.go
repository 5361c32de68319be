package registry

import (
	"fmt"
	"maps"
	"slices"
)

// patterns are the paths of the parts, with what differs in braces.
var patterns = map[part]string{
	base: "/v2/", catalogPart: "/v2/_catalog", blobPart: "/v2/{repo}/blobs/{digest}", uploadsPart: "/v2/{repo}/blobs/uploads/",
	uploadPart: "/v2/{repo}/blobs/uploads/{id}", manifestPart: "/v2/{repo}/manifests/{reference}",
	tagsPart: "/v2/{repo}/tags/list", referrersPart: "/v2/{repo}/referrers/{digest}",
}

// Routes returns every operation that a Handler answers, as METHOD PATH, so that it can
// be seen that each has its right.
func Routes() []string {
	var all []string
	for p := base; ; p++ {
		actions := (&call{route: route{part: p}}).actions()
		if actions == nil {
			return all
		}
		path, ok := patterns[p]
		if !ok {
			path = fmt.Sprintf("/v2/part-%d", p)
		}
		for _, method := range slices.Sorted(maps.Keys(actions)) {
			all = append(all, method+" "+path)
		}
	}
}
