#!/bin/sh
# Runs once, in an empty database: the SQL that all profiles share, then the profile's own.
# The image's entry point may source this, so nothing of its shell is changed.
for file in /sql/*.sql "/sql/$PROFILE"/*.sql; do
  [ -e "$file" ] || continue # a profile need not have its own
  echo "running $file"
  psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --file "$file" || exit 1
done
