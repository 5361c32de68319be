package weft

import (
	"database/sql/driver"
	"fmt"

	"github.com/google/uuid"
)

// An ID names one noun of type T for ever. IDs made here are UUIDv7: opaque to
// clients, sortable by the time they were made, legal in Kubernetes names. IDs
// taken over from another system may be UUIDs of any version.
//
// The type parameter keeps the id of a Run from being passed for that of a Plan.
type ID[T any] uuid.UUID

type (
	DataID      = ID[Data]
	PlanID      = ID[Plan]
	RunID       = ID[Run]
	ProjectID   = ID[Project]
	PrincipalID = ID[Principal]
)

// NewID makes a new id. It is called at the edges (server, store, engine), never
// by a rule. Ids made by one process ascend.
func NewID[T any]() ID[T] { return ID[T](uuid.Must(uuid.NewV7())) }

// ParseID reads the usual text form of 36 characters. Since ids are opaque to
// clients, text that is no id at all is NotFound, as an unknown id is.
func ParseID[T any](s string) (ID[T], error) {
	if len(s) == 36 {
		if u, err := uuid.Parse(s); err == nil {
			return ID[T](u), nil
		}
	}
	return ID[T]{}, Errorf(NotFound, "%q is not found", s)
}

func (id ID[T]) String() string { return uuid.UUID(id).String() }

// IsZero reports whether id was never set.
func (id ID[T]) IsZero() bool { return id == ID[T]{} }

// MarshalText and UnmarshalText let an id stand in JSON and YAML.
func (id ID[T]) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

func (id *ID[T]) UnmarshalText(b []byte) error {
	v, err := ParseID[T](string(b))
	if err == nil {
		*id = v
	}
	return err
}

// Value and Scan keep an id as 16 bytes in a database; the zero id is NULL.
func (id ID[T]) Value() (driver.Value, error) {
	if id.IsZero() {
		return nil, nil
	}
	return id[:], nil
}

func (id *ID[T]) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*id = ID[T]{}
		return nil
	case []byte:
		if len(v) == len(id) {
			copy(id[:], v)
			return nil
		}
	}
	return fmt.Errorf("scan id: %T is not 16 bytes", src)
}
