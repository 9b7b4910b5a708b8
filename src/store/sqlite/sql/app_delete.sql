-- An app is gone; its deployments stay for the runs that are pinned to them.
delete from apps where name = ?1;
