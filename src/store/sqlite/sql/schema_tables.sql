-- How many tables and views a file has.
select count(*) from sqlite_schema;
