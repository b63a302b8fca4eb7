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

-- What the kernel counts of the server's container, where it has one of its own (cgroup v2); no number elsewhere.
CREATE OR REPLACE FUNCTION monitor.box(OUT cpu float8, OUT throttled float8, OUT memory float8)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT coalesce(substring(stat FROM 'usage_usec (\d+)')::float8 / 1e6, 'NaN'),
           coalesce(substring(stat FROM 'throttled_usec (\d+)')::float8 / 1e6, 'NaN'),
           coalesce(substring(charged FROM '\d+')::float8, 'NaN')
    FROM (SELECT pg_read_file('/sys/fs/cgroup/cpu.stat', 0, 4096, true) AS stat,
                 pg_read_file('/sys/fs/cgroup/memory.current', 0, 64, true) AS charged) AS files
$$;
REVOKE ALL ON FUNCTION monitor.box FROM PUBLIC;

GRANT USAGE ON SCHEMA monitor TO monitor;
GRANT SELECT ON monitor.wal TO monitor;
GRANT EXECUTE ON FUNCTION monitor.box TO monitor;
