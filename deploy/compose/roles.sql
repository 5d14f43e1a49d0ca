-- Runs once, when the database is made. Use passwords of your own.
create role relay login replication password 'relay';
grant connect, create on database shop to relay;
create role app login password 'app';
grant connect on database shop to app;
