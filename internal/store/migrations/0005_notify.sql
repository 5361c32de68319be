-- expand; oldest program 1
--
-- For what is told to others: hooks, notifications, OpenLineage.

ALTER TABLE event ADD COLUMN attempt {{int}}; -- of the run, after the change; NULL: not known

-- Variables that before hooks gave an attempt, encrypted, until it runs.
CREATE TABLE run_env (
    run     {{blob}} NOT NULL,
    attempt {{int}} NOT NULL,
    env     {{blob}} NOT NULL,
    PRIMARY KEY (run, attempt)
) {{compact}};

-- Who follows the events, and how far each has come: events are kept for the slowest.
CREATE TABLE follower (
    name       {{text}} PRIMARY KEY,
    xid        {{int}} NOT NULL,
    seq        {{int}} NOT NULL,
    updated_at {{int}} NOT NULL
);

-- What a follower could not deliver yet, or has given up. Of one run, in order.
CREATE TABLE delivery (
    follower {{text}} NOT NULL,
    xid      {{int}} NOT NULL,
    seq      {{int}} NOT NULL,
    run      {{blob}} NOT NULL,
    body     text NOT NULL,          -- as it was sent first, so that repeats are the same
    tries    {{int}} NOT NULL,
    made_at  {{int}} NOT NULL,       -- when it happened
    due_at   {{int}},                -- NULL: given up
    error    text NOT NULL,
    PRIMARY KEY (follower, xid, seq)
) {{compact}};
CREATE INDEX delivery_due ON delivery (follower, due_at) WHERE due_at IS NOT NULL;

-- Who wants to be told what, per project.
CREATE TABLE notify_rule (
    id         {{blob}} PRIMARY KEY,
    project    {{blob}} NOT NULL,
    body       text NOT NULL,        -- everything else, as JSON
    secret     {{blob}},             -- encrypted
    next_at    {{int}} NOT NULL,     -- nothing is sent before
    tries      {{int}} NOT NULL DEFAULT 0,
    error      text NOT NULL DEFAULT '',
    created_at {{int}} NOT NULL,
    created_by {{blob}}
);
CREATE INDEX notify_rule_project ON notify_rule (project);

-- What is to be told, and what was: nothing is told twice.
CREATE TABLE notice (
    rule    {{blob}} NOT NULL,
    run     {{blob}} NOT NULL,
    attempt {{int}} NOT NULL,
    kind    {{text}} NOT NULL,
    at      {{int}} NOT NULL,
    body    text NOT NULL,
    sent_at {{int}},                 -- NULL: not yet
    PRIMARY KEY (rule, run, attempt, kind)
) {{compact}};
CREATE INDEX notice_open ON notice (rule, at) WHERE sent_at IS NULL;
