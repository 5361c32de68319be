-- expand; oldest program 1
--
-- What signing in from outside needs.

-- Roles that members have by their groups elsewhere, as they were given last: what was
-- given by hand since is left alone.
CREATE TABLE group_role (
    principal {{blob}} NOT NULL REFERENCES principal,
    project   {{blob}} NOT NULL REFERENCES project,
    role      {{int}} NOT NULL,
    PRIMARY KEY (principal, project)
) {{compact}};

-- What is good for one time, by its SHA-256, until it would have expired anyway.
CREATE TABLE spent (
    hash  {{blob}} PRIMARY KEY,
    until {{int}} NOT NULL
) {{compact}};
