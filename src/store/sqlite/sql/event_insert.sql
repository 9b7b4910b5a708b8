-- An event is accepted.
insert into events (seq, id, name, data, data_no, at, client_id, source) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8);
