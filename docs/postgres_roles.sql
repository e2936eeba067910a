-- Roles for a vault in PostgreSQL. Run as a superuser or as the owner of the database, connected to the database of the vault:
--
--     psql --dbname=keyhold --file=docs/postgres_roles.sql
--
-- keyhold_migrations owns the tables: `keyhold init`, and the first start of a newer version, connect as it.
-- keyhold_node reads and writes rows, and cannot create, alter or drop anything: every node connects as it.
-- Set their passwords afterwards with \password. Running the script again changes nothing.

DO $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'keyhold_migrations') THEN
    CREATE ROLE keyhold_migrations LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION;
  END IF;
  IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'keyhold_node') THEN
    CREATE ROLE keyhold_node LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION;
  END IF;
END
$$;

-- No other role of the server connects to the database, or creates objects in it.
DO $$
BEGIN
  EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO keyhold_migrations, keyhold_node', current_database());
END
$$;
REVOKE ALL ON SCHEMA public FROM PUBLIC;

CREATE SCHEMA IF NOT EXISTS keyhold;
GRANT USAGE, CREATE ON SCHEMA keyhold TO keyhold_migrations;
GRANT USAGE ON SCHEMA keyhold TO keyhold_node;

-- Tables that exist already, and those of later migrations.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA keyhold TO keyhold_node;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA keyhold TO keyhold_node;
ALTER DEFAULT PRIVILEGES FOR ROLE keyhold_migrations IN SCHEMA keyhold
  GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO keyhold_node;
ALTER DEFAULT PRIVILEGES FOR ROLE keyhold_migrations IN SCHEMA keyhold
  GRANT USAGE ON SEQUENCES TO keyhold_node;
