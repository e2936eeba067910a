-- The database of compose.yaml and its user, who owns nothing else. psql reads the password from the secret, so that no
-- argument and no log contains it.
\set password `cat /run/secrets/store_password`
SET log_statement = 'none';
SET log_min_error_statement = 'panic';
CREATE ROLE keyhold LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'password';
CREATE DATABASE keyhold OWNER keyhold;
REVOKE ALL ON DATABASE keyhold FROM PUBLIC;
