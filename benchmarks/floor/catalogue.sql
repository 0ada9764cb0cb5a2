-- 48 statements that any thorough look at a server has to make, in some form. One a line.
SELECT count(*) FROM pg_stat_activity
SELECT state, count(*) FROM pg_stat_activity GROUP BY 1
SELECT pid, usename, application_name, state, wait_event_type, wait_event, xact_start, query_start, state_change FROM pg_stat_activity
SELECT pid, pg_blocking_pids(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
SELECT locktype, mode, granted, count(*) FROM pg_locks GROUP BY 1, 2, 3
SELECT max(age(backend_xmin)), max(age(backend_xid)) FROM pg_stat_activity
SELECT gid, prepared, owner, database FROM pg_prepared_xacts
SELECT * FROM pg_stat_database
SELECT datname, age(datfrozenxid), mxid_age(datminmxid) FROM pg_database
SELECT datname, pg_database_size(oid) FROM pg_database
SELECT name, setting, unit, source, pending_restart FROM pg_settings
SELECT * FROM pg_file_settings
SELECT * FROM pg_hba_file_rules
SELECT rolname, rolsuper, rolconnlimit, rolvaliduntil FROM pg_roles
SELECT rolname FROM pg_authid WHERE rolpassword LIKE 'md5%'
SELECT roleid::regrole, member::regrole FROM pg_auth_members
SELECT * FROM pg_stat_replication
SELECT * FROM pg_replication_slots
SELECT * FROM pg_stat_wal_receiver
SELECT * FROM pg_stat_subscription
SELECT * FROM pg_stat_archiver
SELECT count(*), sum(size) FROM pg_ls_waldir()
SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'
SELECT * FROM pg_stat_bgwriter
SELECT * FROM pg_stat_wal
SELECT * FROM pg_control_checkpoint()
SELECT * FROM pg_stat_slru
SELECT * FROM pg_stat_database_conflicts
SELECT * FROM pg_stat_progress_vacuum
SELECT * FROM pg_stat_progress_create_index
SELECT * FROM pg_stat_ssl
SELECT name, default_version, installed_version FROM pg_available_extensions WHERE installed_version IS NOT NULL
SELECT collname, collversion, pg_collation_actual_version(oid) FROM pg_collation WHERE collversion IS NOT NULL
SELECT oid::regclass, relkind, relpages, reltuples, reloptions, relpersistence FROM pg_class WHERE relkind IN ('r', 'm', 'p')
SELECT oid::regclass, age(relfrozenxid), mxid_age(relminmxid) FROM pg_class WHERE relkind IN ('r', 't', 'm') ORDER BY 2 DESC LIMIT 20
SELECT relid::regclass, n_live_tup, n_dead_tup, n_mod_since_analyze, last_vacuum, last_autovacuum, last_analyze, seq_scan, idx_scan FROM pg_stat_user_tables
SELECT s.indexrelid::regclass, s.idx_scan, i.indisunique, i.indisvalid, i.indkey, c.relpages FROM pg_stat_user_indexes s JOIN pg_index i USING (indexrelid) JOIN pg_class c ON c.oid = s.indexrelid
SELECT a.indexrelid::regclass, b.indexrelid::regclass FROM pg_index a JOIN pg_index b ON a.indrelid = b.indrelid AND a.indexrelid < b.indexrelid AND a.indkey::text = b.indkey::text AND a.indclass::text = b.indclass::text
SELECT conrelid::regclass, conname, conkey FROM pg_constraint WHERE contype = 'f' AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = conrelid AND (i.indkey::int2[])[0:cardinality(conkey) - 1] @> conkey)
SELECT c.oid::regclass FROM pg_class c WHERE relkind = 'r' AND relnamespace <> 'pg_catalog'::regnamespace AND NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = c.oid AND contype = 'p')
SELECT schemaname, sequencename, last_value, max_value FROM pg_sequences
SELECT conrelid::regclass, conname FROM pg_constraint WHERE NOT convalidated
SELECT tgrelid::regclass, tgname FROM pg_trigger WHERE tgenabled = 'D' AND NOT tgisinternal
SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid
SELECT nspname, nspacl FROM pg_namespace
SELECT oid::regclass, relacl FROM pg_class WHERE relacl IS NOT NULL AND relkind IN ('r', 'v', 'm') AND relnamespace <> 'pg_catalog'::regnamespace
SELECT oid::regprocedure FROM pg_proc WHERE prosecdef AND pronamespace <> 'pg_catalog'::regnamespace
SELECT n.nspname, c.relname, c.reltuples, c.relpages, s.width, ceil(c.reltuples * (s.width + 28) / 8168) AS expected FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN LATERAL (SELECT sum((1 - null_frac) * avg_width) AS width FROM pg_stats p WHERE p.schemaname = n.nspname AND p.tablename = c.relname) s ON true WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
