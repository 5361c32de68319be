-- expand; oldest program 1
--
-- For names and revisions of plans, what they take, and grants of data.

-- A plan's number among those that bore its name, from which of the project's plan_rev on
-- it takes Data (0: all), and whether it still takes part (weft.PlanState).
ALTER TABLE plan ADD COLUMN revision {{int}} NOT NULL DEFAULT 0;
ALTER TABLE plan ADD COLUMN since {{int}} NOT NULL DEFAULT 0;
ALTER TABLE plan ADD COLUMN state {{int}} NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX plan_name ON plan (project, name) WHERE name <> '' AND state = 0;

-- Which plan a name stood for, and since when. A plan that was restored is there twice.
CREATE TABLE plan_revision (
    project  {{blob}} NOT NULL,
    name     {{text}} NOT NULL,
    revision {{int}} NOT NULL,
    plan     {{blob}} NOT NULL,
    at       {{int}} NOT NULL,
    by       {{blob}},
    PRIMARY KEY (project, name, revision)
) {{compact}};

-- The project's plan_rev as the transaction saw it that made the Data usable.
ALTER TABLE data ADD COLUMN epoch {{int}} NOT NULL DEFAULT 0;

-- The tags that a Data lost, as a JSON list; with tags NULL it got none.
ALTER TABLE change ADD COLUMN gone text;

-- Data that another project may read, and the tags of which count there: data_tag then has
-- the keys of that project, too. The epoch is that project's.
CREATE TABLE data_share (
    project {{blob}} NOT NULL,
    data    {{blob}} NOT NULL,
    epoch   {{int}} NOT NULL,
    at      {{int}} NOT NULL,
    by      {{blob}},
    PRIMARY KEY (project, data)
) {{compact}};
CREATE INDEX data_share_data ON data_share (data);
