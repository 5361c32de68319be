-- expand; oldest program 1
--
-- For how runs are to be run, and what is known of each.

ALTER TABLE run ADD COLUMN ended_by text;            -- weft.End of the present attempt
ALTER TABLE run ADD COLUMN stop_by {{int}};          -- until when its program may go on after it was told to end
ALTER TABLE run ADD COLUMN node text;
ALTER TABLE run ADD COLUMN resources text;           -- as JSON, of the present attempt
ALTER TABLE run ADD COLUMN retries {{int}} NOT NULL DEFAULT 0;
ALTER TABLE run ADD COLUMN cause_of {{blob}};        -- the data whose change made it, or its plan's id if that was changed

ALTER TABLE change ADD COLUMN by {{blob}};           -- who made the change; NULL when no user did

-- Attempts that others took the place of. The body is JSON; see past.go.
CREATE TABLE run_attempt (
    run    {{blob}} NOT NULL,
    number {{int}} NOT NULL,
    body   text NOT NULL,
    log    {{blob}},           -- the tree of its log, which is kept
    PRIMARY KEY (run, number)
) {{compact}};
CREATE INDEX run_attempt_log ON run_attempt (log) WHERE log IS NOT NULL;

ALTER TABLE data ADD COLUMN purged_at {{int}};       -- its content is gone since
ALTER TABLE data ADD COLUMN purged_by {{blob}};
ALTER TABLE data ADD COLUMN purged_tree {{blob}};    -- what it was

CREATE TABLE secret (
    project    {{blob}} NOT NULL,
    name       {{text}} NOT NULL,
    sealed     {{blob}} NOT NULL,
    changed_at {{int}} NOT NULL,
    by         {{blob}},
    PRIMARY KEY (project, name)
) {{compact}};

-- The values of secrets that attempts under way were given, so that these are masked in
-- their logs whatever happens to the secret meanwhile.
CREATE TABLE run_secret (
    run     {{blob}} NOT NULL,
    attempt {{int}} NOT NULL,
    nth     {{int}} NOT NULL,
    sealed  {{blob}} NOT NULL,
    PRIMARY KEY (run, attempt, nth)
) {{compact}};

-- An upload that is sent again with the same key is the same upload.
CREATE TABLE push_key (
    project    {{blob}} NOT NULL,
    key        {{text}} NOT NULL,
    data       {{blob}} NOT NULL,
    digest     {{blob}} NOT NULL, -- of the tree that came with it
    created_at {{int}} NOT NULL,
    PRIMARY KEY (project, key)
) {{compact}};
CREATE INDEX push_key_time ON push_key (created_at);
