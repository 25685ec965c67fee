-- Celery's tables when the database is the broker: the ones kombu's SQLAlchemy transport would make by itself, made
-- here because the app role may create nothing. Messages carry opaque ids of jobs, never what a job is about.
SET LOCAL ROLE @broker_owner@;

CREATE SEQUENCE broker.queue_id_sequence;
CREATE SEQUENCE broker.message_id_sequence;

CREATE TABLE broker.kombu_queue (
    id integer PRIMARY KEY DEFAULT nextval('broker.queue_id_sequence'),
    name varchar(200) UNIQUE
);

CREATE TABLE broker.kombu_message (
    id integer PRIMARY KEY DEFAULT nextval('broker.message_id_sequence'),
    visible boolean,
    "timestamp" timestamp without time zone,
    payload text NOT NULL,
    version smallint NOT NULL,
    queue_id integer CONSTRAINT "FK_kombu_message_queue" REFERENCES broker.kombu_queue (id)
);
CREATE INDEX ix_kombu_message_visible ON broker.kombu_message (visible);
CREATE INDEX ix_kombu_message_timestamp ON broker.kombu_message ("timestamp");
CREATE INDEX ix_kombu_message_timestamp_id ON broker.kombu_message ("timestamp", id);

GRANT USAGE ON SCHEMA broker TO @app@;
GRANT SELECT, INSERT, UPDATE, DELETE ON broker.kombu_queue, broker.kombu_message TO @app@;
GRANT USAGE ON SEQUENCE broker.queue_id_sequence, broker.message_id_sequence TO @app@;
