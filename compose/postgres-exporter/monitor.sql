-- The role of postgres-exporter, which reads statistics and no table, and a view of the WAL's, whose writes and
-- flushes moved from pg_stat_wal to pg_stat_io in PostgreSQL 18. May be run again.

CREATE SCHEMA IF NOT EXISTS monitor;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'monitor') THEN
        CREATE ROLE monitor LOGIN PASSWORD 'monitor' CONNECTION LIMIT 4 IN ROLE pg_monitor;
    END IF;
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO monitor', current_database());
    EXECUTE 'CREATE OR REPLACE VIEW monitor.wal AS
        SELECT wal_records::float8 AS records, wal_bytes::float8 AS bytes, wal_fpi::float8 AS full_page_images, '
        || CASE WHEN current_setting('server_version_num')::int >= 180000
           THEN '(SELECT sum(writes) FROM pg_stat_io WHERE object = ''wal'')::float8 AS writes,
                 (SELECT sum(fsyncs) FROM pg_stat_io WHERE object = ''wal'')::float8 AS fsyncs'
           ELSE 'wal_write::float8 AS writes, wal_sync::float8 AS fsyncs' END
        || ' FROM pg_stat_wal';
END $$;

GRANT USAGE ON SCHEMA monitor TO monitor;
GRANT SELECT ON monitor.wal TO monitor;
