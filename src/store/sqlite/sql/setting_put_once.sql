-- A setting that is made at its first use and never again.
insert into settings (name, value) values (?1, ?2)
on conflict (name) do nothing;
