-- expand; oldest program 1
--
-- Users, their passwords, tokens, sessions and the audit log.

ALTER TABLE principal ADD COLUMN kind {{int}} NOT NULL DEFAULT 0; -- 0 a person, 1 a service
ALTER TABLE principal ADD COLUMN full_name text NOT NULL DEFAULT '';
ALTER TABLE principal ADD COLUMN email text NOT NULL DEFAULT '';
ALTER TABLE principal ADD COLUMN disabled {{int}} NOT NULL DEFAULT 0;
ALTER TABLE principal ADD COLUMN password text;                   -- hash with its parameters; NULL: none
ALTER TABLE principal ADD COLUMN signed_in_at {{int}};

CREATE INDEX member_project ON member (project);

-- By what other systems call somebody.
CREATE TABLE identity (
    issuer    {{text}} NOT NULL,
    subject   {{text}} NOT NULL,
    principal {{blob}} NOT NULL REFERENCES principal,
    PRIMARY KEY (issuer, subject)
) {{compact}};
CREATE INDEX identity_principal ON identity (principal);

ALTER TABLE token ADD COLUMN id {{blob}};
ALTER TABLE token ADD COLUMN name text NOT NULL DEFAULT '';
ALTER TABLE token ADD COLUMN scope text NOT NULL DEFAULT 'all';
ALTER TABLE token ADD COLUMN project {{blob}} REFERENCES project; -- that it is bound to
ALTER TABLE token ADD COLUMN system {{int}} NOT NULL DEFAULT 0;   -- 1: of a state directory
ALTER TABLE token ADD COLUMN expires_at {{int}};
ALTER TABLE token ADD COLUMN used_at {{int}};
ALTER TABLE token ADD COLUMN used_from text NOT NULL DEFAULT '';
UPDATE token SET id = substr(hash, 1, 16), name = 'admin.token', system = 1;
CREATE UNIQUE INDEX token_id ON token (id);
CREATE INDEX token_principal ON token (principal);

CREATE TABLE session (
    hash       {{blob}} PRIMARY KEY, -- SHA-256 of the cookie
    id         {{blob}} NOT NULL UNIQUE,
    principal  {{blob}} NOT NULL REFERENCES principal,
    created_at {{int}} NOT NULL,
    expires_at {{int}} NOT NULL,
    idle       {{int}} NOT NULL,     -- microseconds; 0: however long
    used_at    {{int}} NOT NULL,
    source     text NOT NULL,
    agent      text NOT NULL,
    note       text NOT NULL
);
CREATE INDEX session_principal ON session (principal);

-- How often signing in failed in a row, under names that need not exist.
CREATE TABLE sign_in_failure (
    name         {{text}} PRIMARY KEY,
    failures     {{int}} NOT NULL,
    failed_at    {{int}} NOT NULL,
    locked_until {{int}}
);

-- Sign-ins of devices that wait for being allowed.
CREATE TABLE device (
    hash       {{blob}} PRIMARY KEY, -- SHA-256 of the device code
    user_code  {{text}} NOT NULL UNIQUE,
    client     text NOT NULL,
    source     text NOT NULL,
    expires_at {{int}} NOT NULL,
    pause      {{int}} NOT NULL,     -- between polls, microseconds
    polled_at  {{int}},
    principal  {{blob}} REFERENCES principal,
    denied     {{int}} NOT NULL DEFAULT 0
);

-- Who did what. Nothing refers to it and it refers to nothing, so that it tells of what
-- is gone as well.
CREATE TABLE audit (
    seq       {{serial}},
    at        {{int}} NOT NULL,
    principal {{blob}},
    name      {{text}} NOT NULL,
    token     {{blob}},
    source    text NOT NULL,
    action    {{text}} NOT NULL,
    kind      {{text}} NOT NULL,
    project   {{blob}},
    object    text NOT NULL,
    result    {{text}} NOT NULL,
    detail    text NOT NULL,
    request   text NOT NULL
);
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_project ON audit (project, seq);
CREATE INDEX audit_principal ON audit (principal, seq);
{{only_added}};

-- Bumped by every change of who may do what, so that a replica sees by one look whether
-- what it remembers still holds.
CREATE TABLE access_rev (
    one {{int}} PRIMARY KEY CHECK (one = 1),
    rev {{int}} NOT NULL
);
INSERT INTO access_rev (one, rev) VALUES (1, 0);
