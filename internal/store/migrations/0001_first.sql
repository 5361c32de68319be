-- expand; oldest program 1
--
-- The first schema. {{…}} is what differs between the databases, see dialect.go.
-- Times are microseconds since 1970 in UTC. Ids are 16 bytes, digests 32, and the key of
-- a tag is the first 16 bytes of a digest of project, key and value (see tagKey): so
-- equal tags of one project have equal keys, and no row has to be made for a tag first.

CREATE TABLE project (
    id       {{blob}} PRIMARY KEY,
    name     {{text}} NOT NULL UNIQUE,
    plan_rev {{int}} NOT NULL DEFAULT 0 -- bumped by every change of a plan; locked by registration
);

CREATE TABLE principal (
    id         {{blob}} PRIMARY KEY,
    name       {{text}} NOT NULL UNIQUE,
    admin      {{int}} NOT NULL DEFAULT 0,
    home       {{blob}} NOT NULL REFERENCES project, -- the project of requests that name none
    created_at {{int}} NOT NULL
);

CREATE TABLE member (
    project   {{blob}} NOT NULL REFERENCES project,
    principal {{blob}} NOT NULL REFERENCES principal,
    role      {{int}} NOT NULL,
    PRIMARY KEY (principal, project)
);

CREATE TABLE token (
    hash       {{blob}} PRIMARY KEY, -- SHA-256 of the token
    principal  {{blob}} NOT NULL REFERENCES principal,
    created_at {{int}} NOT NULL
);

CREATE TABLE plan (
    id           {{blob}} PRIMARY KEY,
    project      {{blob}} NOT NULL REFERENCES project,
    identity     {{blob}} NOT NULL,
    name         {{text}} NOT NULL DEFAULT '', -- of a built-in plan
    body         text NOT NULL,                -- everything else, as JSON; see planBody
    active       {{int}} NOT NULL,
    rev          {{int}} NOT NULL,
    changed      {{int}} NOT NULL,             -- project.plan_rev of the last change
    allow_runs   {{int}} NOT NULL DEFAULT 0,
    pending_runs {{int}} NOT NULL DEFAULT 0,
    created_at   {{int}} NOT NULL,
    UNIQUE (project, identity)
);
CREATE INDEX plan_changed ON plan (project, changed);

-- Each input is listed under the rarest of its tags, so that a Data finds the few inputs
-- that it may fit without looking at the others.
CREATE TABLE plan_input (
    tag  {{blob}} NOT NULL,
    plan {{blob}} NOT NULL REFERENCES plan,
    nth  {{int}} NOT NULL,
    PRIMARY KEY (tag, plan, nth)
) {{compact}};

-- Inputs and outputs are kept in the row, as the ids one after another: a run is read
-- without a join. An output's id is all zeros once it was discarded.
CREATE TABLE run (
    id           {{blob}} PRIMARY KEY,
    project      {{blob}} NOT NULL,
    plan         {{blob}} NOT NULL,
    status       {{int}} NOT NULL, -- index into weft.Statuses
    rev          {{int}} NOT NULL,
    attempt      {{int}} NOT NULL,
    created_at   {{int}} NOT NULL,
    updated_at   {{int}} NOT NULL,
    started_at   {{int}},
    ended_at     {{int}},
    due_at       {{int}},          -- not to be claimed before (a lease moves it on); NULL: not to be claimed
    holder       text,             -- who leased it last, for people
    exit_code    {{int}},
    exit_message text,
    reason       text,
    image        {{blob}},
    cause        {{int}} NOT NULL,
    cause_by     {{blob}},
    combination  {{blob}},         -- of the inputs, unique within the plan; NULL without inputs
    inputs       {{blob}} NOT NULL,
    outputs      {{blob}} NOT NULL -- the log's last
) {{compact}}{{busy}};
CREATE UNIQUE INDEX run_combination ON run (plan, combination);
CREATE INDEX run_status ON run (project, status, updated_at, id);
CREATE INDEX run_plan ON run (plan, status, updated_at, id);
CREATE INDEX run_due ON run (status, due_at) WHERE due_at IS NOT NULL;

-- at is the run's updated_at while it waits, rests or has ended, so that the runs of a Data
-- are found in the order of lists. While it is in flight, and changes often, at is the
-- largest number.
CREATE TABLE run_input (
    data {{blob}} NOT NULL,
    at   {{int}} NOT NULL,
    run  {{blob}} NOT NULL,
    nth  {{int}} NOT NULL,
    PRIMARY KEY (data, at, run, nth)
) {{compact}}{{busy}};

CREATE TABLE data (
    id         {{blob}} PRIMARY KEY,
    project    {{blob}} NOT NULL,
    run        {{blob}} NOT NULL,
    nth        {{int}} NOT NULL,  -- which output of the plan; behind the last comes the log
    state      {{int}} NOT NULL,  -- 0 processing, 1 usable, 2 failed
    ts         {{int}} NOT NULL,  -- the largest number while there is none, so that it sorts last
    tags       text NOT NULL,     -- the user's, as a JSON list
    tree       {{blob}},
    files      {{int}} NOT NULL DEFAULT 0,
    bytes      {{int}} NOT NULL DEFAULT 0,
    created_at {{int}} NOT NULL
) {{compact}}{{busy}};
CREATE INDEX data_time ON data (project, state, ts, id);
CREATE INDEX data_tree ON data (tree, project) WHERE tree IS NOT NULL;

CREATE TABLE data_tag (
    tag  {{blob}} NOT NULL,
    data {{blob}} NOT NULL,
    PRIMARY KEY (tag, data)
) {{compact}};

-- Events in one order, (xid, seq). See event.go.
CREATE TABLE event (
    seq     {{event_seq}},
    xid     {{int}} NOT NULL DEFAULT {{xid}},
    at      {{int}} NOT NULL,
    kind    {{int}} NOT NULL,
    project {{blob}} NOT NULL,
    run     {{blob}},
    plan    {{blob}},
    data    {{blob}},
    was     {{int}},
    becomes {{int}},
    by      {{blob}}{{event_key}}
);

-- What projection has yet to look at. See projection.go.
CREATE TABLE change (
    seq     {{serial}},
    project {{blob}} NOT NULL,
    data    {{blob}},           -- a Data that became usable or was tagged, or
    tags    {{blob}},           -- … the keys of the tags that it got; NULL: all count as new
    plan    {{blob}},           -- a Plan that was registered, or whose limit was raised
    after   {{blob}},           -- with plan: the assignment to go on behind
    due_at  {{int}} NOT NULL DEFAULT 0 -- leased by somebody who looks at it, until then
){{busy}};

-- Content. A blob is some bytes; a tree is a sealed directory, named by its manifest.
CREATE TABLE blob (
    digest    {{blob}} PRIMARY KEY,
    size      {{int}} NOT NULL,
    state     {{int}} NOT NULL,  -- 0 pending, 1 present, 2 deleting
    doomed_at {{int}}            -- since when nothing refers to it, as the collector saw
) {{compact}};
CREATE INDEX blob_doomed ON blob (doomed_at) WHERE doomed_at IS NOT NULL;

CREATE TABLE tree (
    digest    {{blob}} PRIMARY KEY,
    files     {{int}} NOT NULL,
    bytes     {{int}} NOT NULL,
    state     {{int}} NOT NULL,  -- 1 present, 2 deleting
    doomed_at {{int}}
) {{compact}};
CREATE INDEX tree_doomed ON tree (doomed_at) WHERE doomed_at IS NOT NULL;

CREATE TABLE tree_blob (
    blob {{blob}} NOT NULL,
    tree {{blob}} NOT NULL,
    PRIMARY KEY (blob, tree)
) {{compact}};
CREATE INDEX tree_blob_tree ON tree_blob (tree);

CREATE TABLE blob_pin (
    pin    text NOT NULL,
    digest {{blob}} NOT NULL,
    tree   {{int}} NOT NULL,     -- 0 a blob, 1 a tree
    until  {{int}} NOT NULL,
    PRIMARY KEY (pin, digest, tree)
) {{compact}};
CREATE INDEX blob_pin_digest ON blob_pin (digest);

-- Images, per project and repository.
CREATE TABLE repo_blob (
    project {{blob}} NOT NULL,
    repo    {{text}} NOT NULL,
    digest  {{blob}} NOT NULL,
    PRIMARY KEY (project, repo, digest)
) {{compact}};
CREATE INDEX repo_blob_digest ON repo_blob (digest);

CREATE TABLE image_manifest (
    project       {{blob}} NOT NULL,
    repo          {{text}} NOT NULL,
    digest        {{blob}} NOT NULL,
    media_type    text NOT NULL,
    size          {{int}} NOT NULL,
    subject       {{blob}},
    artifact_type text NOT NULL,
    created_at    {{int}} NOT NULL,
    PRIMARY KEY (project, repo, digest)
) {{compact}};
CREATE INDEX image_manifest_digest ON image_manifest (digest);

CREATE TABLE image_ref (
    project  {{blob}} NOT NULL,
    repo     {{text}} NOT NULL,
    manifest {{blob}} NOT NULL,
    nth      {{int}} NOT NULL,
    kind     {{int}} NOT NULL,   -- 0 a blob, 1 a manifest
    digest   {{blob}} NOT NULL,
    PRIMARY KEY (project, repo, manifest, nth)
) {{compact}};
CREATE INDEX image_ref_digest ON image_ref (digest);

CREATE TABLE image_tag (
    project {{blob}} NOT NULL,
    repo    {{text}} NOT NULL,
    tag     {{text}} NOT NULL,
    digest  {{blob}} NOT NULL,
    PRIMARY KEY (project, repo, tag)
) {{compact}};
