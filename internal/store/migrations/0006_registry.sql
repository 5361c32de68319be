-- expand; oldest program 1
--
-- For digests by other algorithms, and for collecting what repositories keep in vain.

-- What else a blob is called: its SHA-512, 64 bytes, as the server found it.
CREATE TABLE blob_alias (
    alias  {{blob}} PRIMARY KEY,
    digest {{blob}} NOT NULL
) {{compact}};
CREATE INDEX blob_alias_digest ON blob_alias (digest);

-- When a push relied upon it last, to the hour. 0: not known, as an earlier program wrote it.
ALTER TABLE repo_blob ADD COLUMN used_at {{int}} NOT NULL DEFAULT 0;

ALTER TABLE image_manifest ADD COLUMN subject512 {{blob}};
ALTER TABLE image_manifest ADD COLUMN spare_at {{int}}; -- since when nothing names it, or when it was pulled last
CREATE INDEX image_manifest_spare ON image_manifest (spare_at) WHERE spare_at IS NOT NULL;
CREATE INDEX image_manifest_subject ON image_manifest (subject) WHERE subject IS NOT NULL;
CREATE INDEX image_manifest_subject512 ON image_manifest (subject512) WHERE subject512 IS NOT NULL;
CREATE INDEX image_tag_digest ON image_tag (digest);
