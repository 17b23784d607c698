-- Registry and vault each own a database: no service reads another's tables.
CREATE DATABASE registry;
CREATE DATABASE vault;
