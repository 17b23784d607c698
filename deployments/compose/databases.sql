-- Registry and vault each have a database and a role of their own, which can reach no
-- other: no service reads another's tables. PostgreSQL's image runs this once, by psql.
\set registry_password `cat /run/secrets/registry-password`
\set vault_password `cat /run/secrets/vault-password`

CREATE ROLE registry LOGIN PASSWORD :'registry_password';
CREATE ROLE vault LOGIN PASSWORD :'vault_password';
CREATE DATABASE registry OWNER registry;
CREATE DATABASE vault OWNER vault;

-- Else any role may connect to any database.
REVOKE ALL ON DATABASE registry, vault, postgres FROM PUBLIC;
