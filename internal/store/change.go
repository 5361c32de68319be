package store

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/weft-dev/weft"
)

// A change is something that may give rise to Runs. It is recorded in the transaction
// that makes it, and looked at afterwards by projection. It is about a Data, that became
// usable or got tags, or about a Plan, all of whose combinations are to be looked at.
type change struct {
	seq     int64
	project weft.ProjectID
	data    weft.DataID
	tags    []byte    // the keys of the tags that the Data got; nil: all count as new, unless it only lost some
	gone    weft.Tags // what it lost; all, if it is there no more
	plan    weft.PlanID
	after   []byte           // with plan: the assignment to go on behind; nil: from the beginning
	by      weft.PrincipalID // who made it; zero when no user did
}

func changeOf(p weft.Plan) change { return change{project: p.Project, plan: p.ID} }

// addChanges records changes, for projection to look at.
func (t *tx) addChanges(ctx context.Context, changes ...change) error {
	const columns = 6
	args := make([]any, 0, columns*len(changes))
	for i := range changes {
		c := &changes[i]
		tags := any(nil)
		if c.tags != nil {
			tags = c.tags
		}
		gone := any(nil)
		if len(c.gone) > 0 {
			text, err := encodeTags(c.gone)
			if err != nil {
				return err
			}
			gone = text
		}
		args = append(args, c.project[:], idOrNull(c.data), tags, idOrNull(c.plan), gone, idOrNull(c.by))
	}
	return t.insert(ctx, "INSERT INTO change (project, data, tags, plan, gone, by) VALUES ", columns, args, "")
}

const (
	maxChanges  = 256              // looked at together
	changeLease = 15 * time.Second // extended while the work goes on
)

// leaseChanges takes the oldest changes that nobody is looking at.
func (t *tx) leaseChanges(ctx context.Context, limit int) ([]change, error) {
	var changes []change
	err := t.rows(ctx, func(r scanner) error {
		var c change
		var gone sql.NullString
		err := r.Scan(&c.seq, &c.project, &c.data, &c.tags, &c.plan, &c.after, &gone, &c.by)
		if err == nil && gone.Valid {
			c.gone, err = decodeTags(gone.String)
		}
		changes = append(changes, c)
		return err
	}, "SELECT seq, project, data, tags, plan, after, gone, by FROM change WHERE due_at <= $1 ORDER BY seq LIMIT $2"+t.s.skipLocked, micros(t.now), limit)
	if err != nil || len(changes) == 0 {
		return nil, err
	}
	return changes, t.extendChanges(ctx, changes)
}

func (t *tx) extendChanges(ctx context.Context, changes []change) error {
	return t.changesBySeq(ctx, changes, "UPDATE change SET due_at = $1 WHERE seq IN", micros(t.now.Add(changeLease)))
}

func (t *tx) dropChanges(ctx context.Context, changes []change) error {
	return t.changesBySeq(ctx, changes, "DELETE FROM change WHERE seq >= $1 AND seq IN", int64(0))
}

// changesBySeq runs a statement that ends with the list of changes, behind one parameter.
func (t *tx) changesBySeq(ctx context.Context, changes []change, head string, first any) error {
	for chunk := range slices.Chunk(changes, 64) {
		args := make([]any, 1+64)
		args[0] = first
		for i := range 64 {
			args[1+i] = chunk[min(i, len(chunk)-1)].seq
		}
		if _, err := t.exec(ctx, head+" ("+params(2, 64)+")", args...); err != nil {
			return err
		}
	}
	return nil
}
