package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/weft-dev/weft"
)

// change is write, for what somebody asked for: the entry of the audit log that ctx has a
// note of is written in the same transaction, so that there is neither a change without
// an entry nor an entry without its change.
func (s *Store) change(ctx context.Context, fn func(ctx context.Context, t *tx) error) error {
	return s.audited(ctx, false, fn)
}

// changeAlone is change, in a transaction of its own.
func (s *Store) changeAlone(ctx context.Context, fn func(ctx context.Context, t *tx) error) error {
	return s.audited(ctx, true, fn)
}

func (s *Store) audited(ctx context.Context, alone bool, fn func(ctx context.Context, t *tx) error) error {
	note := weft.AuditOf(ctx)
	if note == nil || note.Action == "" || note.Written {
		return s.writer.do(ctx, alone, fn)
	}
	before := note.Audit
	err := s.writer.do(ctx, alone, func(ctx context.Context, t *tx) error {
		if err := fn(ctx, t); err != nil {
			return err
		}
		e := before
		e.At, e.Result = t.now, weft.AuditDone
		if t.subject != "" {
			e.Object = t.subject
		}
		if !t.about.IsZero() {
			e.Project = t.about
		}
		e.Detail = join(e.Detail, t.detail)
		return t.addAudit(ctx, e)
	})
	note.Written = err == nil
	return err
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}

const auditColumns = "at, principal, name, token, source, action, kind, project, object, result, detail, request"

// maxAudit bounds the texts of an entry that come from outside, in bytes.
const maxAudit = 500

func (t *tx) addAudit(ctx context.Context, e weft.Audit) error {
	_, err := t.exec(ctx, "INSERT INTO audit ("+auditColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
		micros(e.At), e.Who, short(e.Name), e.Token, e.From, e.Action, e.Kind, e.Project, short(e.Object), string(e.Result), short(e.Detail), e.Request)
	return err
}

// short makes a text fit for an entry, and for both databases.
func short(s string) string {
	if len(s) > maxAudit {
		s = s[:maxAudit]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
}

// AddAudit adds an entry to the audit log by itself: of a sign-in, or of what failed and
// so changed nothing. At is the present.
func (s *Store) AddAudit(ctx context.Context, e weft.Audit) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		e.At = t.now
		return t.addAudit(ctx, e)
	})
	if err != nil {
		return fmt.Errorf("add to the audit log: %w", err)
	}
	return nil
}

// Audit returns entries of the audit log.
func (s *Store) Audit(ctx context.Context, q weft.AuditQuery) ([]weft.Audit, error) {
	where, args := []string{"seq > $1"}, []any{q.After}
	and := func(condition string, arg any) {
		args = append(args, arg)
		where = append(where, condition+" $"+strconv.Itoa(len(args)))
	}
	if !q.Project.IsZero() {
		and("project =", q.Project)
	}
	if !q.Who.IsZero() {
		and("principal =", q.Who)
	}
	if q.Action != "" {
		and("action =", q.Action)
	}
	if !q.Since.IsZero() {
		and("at >=", micros(q.Since))
	}
	if !q.Until.IsZero() {
		and("at <", micros(q.Until))
	}
	query := "SELECT seq, " + auditColumns + " FROM audit WHERE " + strings.Join(where, " AND ") + " ORDER BY seq"
	if q.Last {
		query += " DESC"
	}
	if q.Limit > 0 {
		query += " LIMIT " + strconv.Itoa(q.Limit)
	}
	var all []weft.Audit
	err := s.read(ctx, func(t *tx) error {
		return t.rows(ctx, func(r scanner) error {
			var e weft.Audit
			var at int64
			err := r.Scan(&e.Seq, &at, &e.Who, &e.Name, &e.Token, &e.From, &e.Action, &e.Kind, &e.Project, &e.Object, &e.Result, &e.Detail, &e.Request)
			e.At = fromMicros(at)
			all = append(all, e)
			return err
		}, query, args...)
	})
	if err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	return all, nil
}
