#!/bin/sh
# Runs once, in an empty database: the SQL that all profiles share, then the profile's own.
# The image's entry point may source this, so nothing of its shell is changed.
for file in /sql/*.sql "/sql/$PROFILE"/*.sql; do
  [ -e "$file" ] || continue # a profile need not have its own
  echo "running $file"
  psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --file "$file" || exit 1
done

# Other containers reach the socket: there the service's role, and that of whoever watches, give their passwords, and
# nobody else is taken but the user that the server runs as. It is read when the server starts for good.
{
  echo 'local all guiche,monitor scram-sha-256'
  echo 'local all all peer'
  grep -v '^local' "$PGDATA/pg_hba.conf"
} >"$PGDATA/pg_hba.conf.new" || exit 1
mv "$PGDATA/pg_hba.conf.new" "$PGDATA/pg_hba.conf" || exit 1
