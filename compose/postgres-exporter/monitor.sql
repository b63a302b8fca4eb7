-- The role of postgres-exporter: it reads statistics, and no table. May be run again.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'monitor') THEN
        CREATE ROLE monitor LOGIN PASSWORD 'monitor' CONNECTION LIMIT 4 IN ROLE pg_monitor;
    END IF;
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO monitor', current_database());
END $$;
