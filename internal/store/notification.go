package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/weft-dev/weft"
)

// ruleBody is what of a Notification is not a column.
type ruleBody struct {
	On     []weft.Occasion `json:"on"`
	Plans  []string        `json:"plans,omitempty"`
	Tags   []string        `json:"tags,omitempty"`
	After  time.Duration   `json:"after,omitempty"`
	Mail   []string        `json:"mail,omitempty"`
	Host   string          `json:"host,omitempty"`
	Signed bool            `json:"signed,omitempty"`
}

const ruleColumns = "id, project, body, secret, next_at, tries, error, created_at, created_by"

// CreateNotification keeps a rule; sealed is what is secret about it.
func (s *Store) CreateNotification(ctx context.Context, n weft.Notification, sealed []byte) error {
	b := ruleBody{On: n.On, Plans: n.Plans, After: n.After, Mail: n.Mail, Host: n.Host, Signed: n.Signed}
	for _, t := range n.Tags {
		b.Tags = append(b.Tags, t.String())
	}
	body, err := json.Marshal(b)
	if err != nil {
		return err
	}
	last, err := s.LastCursor(ctx)
	if err == nil {
		err = s.change(ctx, func(ctx context.Context, t *tx) error {
			var there int64
			if _, err := t.row(ctx, "SELECT count(*) FROM notify_rule WHERE project = $1", []any{n.Project}, &there); err != nil {
				return err
			}
			if there >= weft.MaxNotifications {
				return weft.Errorf(weft.TooLarge, "the project has %d notifications already", there).WithAdvice("remove some: `weft notification rm`")
			}
			// Who notifies follows events from now on, if there was nothing to notify of before.
			_, err := t.exec(ctx, "INSERT INTO follower (name, xid, seq, updated_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
				weft.FollowerNotify, last.Xid, last.Seq, micros(t.now))
			if err != nil {
				return err
			}
			_, err = t.exec(ctx, "INSERT INTO notify_rule (id, project, body, secret, next_at, created_at, created_by) VALUES ($1, $2, $3, $4, 0, $5, $6)",
				n.ID, n.Project, string(body), bytesOrNull(sealed), micros(t.now), idOrNull(n.By))
			return err
		})
	}
	return wrapped("create notification", err)
}

func bytesOrNull(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}

// Notifications lists the rules of a project, the oldest first; of all projects if it is
// zero.
func (s *Store) Notifications(ctx context.Context, project weft.ProjectID) ([]weft.NotificationRule, error) {
	where, args := "", []any(nil)
	if !project.IsZero() {
		where, args = " WHERE project = $1", []any{project}
	}
	var out []weft.NotificationRule
	err := s.read(ctx, func(t *tx) error {
		return t.rows(ctx, func(r scanner) error {
			v, err := scanRule(r)
			out = append(out, v)
			return err
		}, "SELECT "+ruleColumns+" FROM notify_rule"+where+" ORDER BY created_at, id", args...)
	})
	return out, wrapped("list notifications", err)
}

func scanRule(r scanner) (weft.NotificationRule, error) {
	var v weft.NotificationRule
	var body string
	var next, created int64
	if err := r.Scan(&v.ID, &v.Project, &body, &v.Sealed, &next, &v.Tries, &v.Error, &created, &v.By); err != nil {
		return v, err
	}
	var b ruleBody
	if err := json.Unmarshal([]byte(body), &b); err != nil {
		return v, fmt.Errorf("read notification %s: %w", v.ID, err)
	}
	tags, err := weft.ParseTags(b.Tags...)
	v.On, v.Plans, v.Tags, v.After, v.Mail, v.Host, v.Signed = b.On, b.Plans, tags, b.After, b.Mail, b.Host, b.Signed
	v.Next, v.CreatedAt = fromMicros(next), fromMicros(created)
	return v, err
}

// DeleteNotification removes a rule, and what it had yet to tell.
func (s *Store) DeleteNotification(ctx context.Context, project weft.ProjectID, id weft.NotificationID) error {
	err := s.change(ctx, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, "DELETE FROM notify_rule WHERE id = $1 AND project = $2", id, project)
		if err == nil && n == 0 {
			err = notFound("notification", id)
		}
		if err != nil {
			return err
		}
		_, err = t.exec(ctx, "DELETE FROM notice WHERE rule = $1", id)
		return err
	})
	return wrapped("delete notification", err)
}

// AddNotices keeps what is to be told, once each, and moves the follower on.
func (s *Store) AddNotices(ctx context.Context, notices []weft.Notice, to weft.Cursor) error {
	var args []any
	for _, n := range notices {
		body, err := json.Marshal([2]string{n.Plan, n.Text})
		if err != nil {
			return err
		}
		args = append(args, n.Rule[:], n.Run[:], n.Attempt, string(n.On), micros(n.At), string(body))
	}
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		if to != (weft.Cursor{}) {
			_, err := t.exec(ctx, "UPDATE follower SET xid = $2, seq = $3, updated_at = $4 WHERE name = $1", weft.FollowerNotify, to.Xid, to.Seq, micros(t.now))
			if err != nil {
				return err
			}
		}
		return t.insert(ctx, "INSERT INTO notice (rule, run, attempt, kind, at, body) VALUES ", 6, args, " ON CONFLICT DO NOTHING")
	})
	return wrapped("keep notices", err)
}

// OpenNotices returns what a rule has yet to tell, the oldest first.
func (s *Store) OpenNotices(ctx context.Context, rule weft.NotificationID, limit int) ([]weft.Notice, error) {
	var out []weft.Notice
	err := s.read(ctx, func(t *tx) error {
		return t.rows(ctx, func(r scanner) error {
			n := weft.Notice{Rule: rule}
			var at int64
			var body string
			if err := r.Scan(&n.Run, &n.Attempt, &n.On, &at, &body); err != nil {
				return err
			}
			n.At = fromMicros(at)
			var parts [2]string
			err := json.Unmarshal([]byte(body), &parts)
			n.Plan, n.Text = parts[0], parts[1]
			out = append(out, n)
			return err
		}, "SELECT run, attempt, kind, at, body FROM notice WHERE rule = $1 AND sent_at IS NULL ORDER BY at LIMIT $2", rule, limit)
	})
	return out, wrapped("read notices", err)
}

// Told records that a rule has told these, and tells nothing more before next.
func (s *Store) Told(ctx context.Context, rule weft.NotificationID, notices []weft.Notice, next time.Time) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, "UPDATE notify_rule SET next_at = $2, tries = 0, error = '' WHERE id = $1", rule, micros(next))
		if err != nil {
			return err
		}
		for _, n := range notices {
			_, err := t.exec(ctx, "UPDATE notice SET sent_at = $5 WHERE rule = $1 AND run = $2 AND attempt = $3 AND kind = $4", rule, n.Run, n.Attempt, string(n.On), micros(t.now))
			if err != nil {
				return err
			}
		}
		return nil
	})
	return wrapped("record what was told", err)
}

// NotTold records that a rule could not tell what it had to, and when it tries again.
func (s *Store) NotTold(ctx context.Context, rule weft.NotificationID, why string, next time.Time) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, "UPDATE notify_rule SET next_at = $2, tries = tries + 1, error = $3 WHERE id = $1", rule, micros(next), why)
		return err
	})
	return wrapped("record what was not told", err)
}

// ForgetNotices forgets what was told before a time, and what could not be told since then.
func (s *Store) ForgetNotices(ctx context.Context, before time.Time) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, "DELETE FROM notice WHERE sent_at < $1 OR sent_at IS NULL AND at < $1", micros(before))
		return err
	})
	return wrapped("forget notices", err)
}

// Unfollow forgets a follower, if it is there: events need not be kept for it.
func (s *Store) Unfollow(ctx context.Context, name string) error {
	_, known, err := s.follower(ctx, name)
	if err != nil || !known {
		return wrapped("stop following", err)
	}
	err = s.write(ctx, func(ctx context.Context, t *tx) error {
		var rules int64
		if _, err := t.row(ctx, "SELECT count(*) FROM notify_rule", nil, &rules); err != nil || rules > 0 && name == weft.FollowerNotify {
			return err // one was made just now
		}
		_, err := t.exec(ctx, "DELETE FROM follower WHERE name = $1", name)
		return err
	})
	return wrapped("stop following", err)
}
