-- expand; oldest program 1
--
-- For data that were somewhere already.

CREATE TABLE import (
    id          {{blob}} PRIMARY KEY, -- the run's
    project     {{blob}} NOT NULL,
    data        {{blob}} NOT NULL,
    by          {{blob}},
    source      {{text}} NOT NULL,    -- a URL; empty for a handshake
    credentials {{text}} NOT NULL,    -- their name
    tags        text NOT NULL,        -- as in data
    state       {{int}} NOT NULL,     -- index into weft.ImportStates
    problem     text,
    files       {{int}} NOT NULL DEFAULT 0,
    bytes       {{int}} NOT NULL DEFAULT 0,
    total       {{int}} NOT NULL DEFAULT 0,
    created_at  {{int}} NOT NULL,
    updated_at  {{int}} NOT NULL,
    due_at      {{int}}               -- open: when it is given up; queued or running: nobody is at it from then on
);
CREATE INDEX import_due ON import (state, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX import_project ON import (project, created_at);

CREATE TABLE data_origin (
    data    {{blob}} PRIMARY KEY,
    url     text NOT NULL,
    version text NOT NULL,
    at      {{int}} NOT NULL,
    by      {{blob}}
) {{compact}};
