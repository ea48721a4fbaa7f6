-- Run once by the postgres image: the owner migrates, the application only reads and writes rows.
\set owner_password `echo "$KAIROS_OWNER_PASSWORD"`
\set app_password `echo "$KAIROS_APP_PASSWORD"`
create role kairos_owner login password :'owner_password';
create role kairos_app login password :'app_password';
create database kairos owner kairos_owner encoding 'UTF8' locale_provider builtin builtin_locale 'C.UTF-8' template template0;
