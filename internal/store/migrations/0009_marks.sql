-- expand; oldest program 1
--
-- What people note about data, plans and runs, mark as favourites, and search again.

CREATE TABLE note (
    project    {{blob}} NOT NULL REFERENCES project,
    kind       {{text}} NOT NULL,
    subject    {{text}} NOT NULL,
    body       text NOT NULL,
    by         text NOT NULL, -- a name, which tells of who is gone as well
    updated_at {{int}} NOT NULL,
    PRIMARY KEY (project, kind, subject)
) {{compact}};

CREATE TABLE favourite (
    principal {{blob}} NOT NULL REFERENCES principal,
    project   {{blob}} NOT NULL REFERENCES project,
    kind      {{text}} NOT NULL,
    subject   {{text}} NOT NULL,
    marked_at {{int}} NOT NULL,
    PRIMARY KEY (principal, project, kind, subject)
) {{compact}};

CREATE TABLE search (
    project    {{blob}} NOT NULL REFERENCES project,
    name       {{text}} NOT NULL,
    kind       {{text}} NOT NULL,
    query      text NOT NULL,
    shared     {{int}} NOT NULL,
    owner      {{blob}} NOT NULL, -- may be gone, when others go on using it
    updated_at {{int}} NOT NULL,
    PRIMARY KEY (project, name)
) {{compact}};
CREATE INDEX search_owner ON search (owner);
