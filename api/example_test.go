package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/weft-dev/weft/api"
)

// A list is read as it arrives, however long it is.
func ExampleClient_FindRuns() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `[{"runId":"1","status":%[1]q},{"runId":"2","status":%[1]q}]`, r.URL.Query().Get("status"))
	}))
	defer server.Close()

	client, err := api.NewClient(server.URL, api.Options{Token: "the content of admin.token"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for run, err := range client.FindRuns(context.Background(), api.RunQuery{Statuses: []string{"failed"}}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(run.RunID, run.Status)
	}
	// Output:
	// 1 failed
	// 2 failed
}
