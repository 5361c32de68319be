package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// The roles of PostgreSQL. All objects belong to ownerRole, which nobody can log in as.
// Two login roles are members of it and take its rights as soon as they are connected:
// so the password of the one that is not in use can be changed, and programs move over
// to it, without a failed request. Where the connecting role may not make roles, and
// nobody has made them before, it owns the objects itself and all works the same.
const ownerRole = "weft"

// ensureRoles makes the roles where that is possible and not done yet. The login roles
// have no password at first, so that nobody can use them before one is set.
const ensureRolesSQL = `
DO $do$
DECLARE r text;
BEGIN
    IF NOT (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user) THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(2003133046);
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'weft') THEN
        CREATE ROLE weft NOLOGIN;
    END IF;
    FOREACH r IN ARRAY ARRAY['weft_a', 'weft_b'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r) THEN
            EXECUTE format('CREATE ROLE %I LOGIN IN ROLE weft', r);
        END IF;
    END LOOP;
    IF NOT pg_has_role(current_user, 'weft', 'MEMBER') THEN
        EXECUTE format('GRANT weft TO %I', current_user);
    END IF;
    IF NOT has_schema_privilege('weft', current_schema(), 'CREATE') THEN
        EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO weft', current_schema());
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    NULL; -- whoever connects owns the objects
END
$do$`

func ensureRoles(ctx context.Context, config *pgx.ConnConfig) error {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("connect to the database: %w", err)
	}
	_, err = conn.Exec(ctx, ensureRolesSQL)
	if closeErr := conn.Close(ctx); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("make roles: %w", err)
	}
	return nil
}

// setRole takes the owner's rights on a fresh connection, where they are there to take:
// when the owner may use the schema that the connection works in.
func setRole(ctx context.Context, conn *pgx.Conn) error {
	var member bool
	err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1
		AND pg_has_role(current_user, oid, 'MEMBER') AND has_schema_privilege(oid, current_schema(), 'CREATE'))`,
		ownerRole).Scan(&member)
	if err != nil || !member {
		return err
	}
	_, err = conn.Exec(ctx, "SET ROLE "+ownerRole)
	return err
}
