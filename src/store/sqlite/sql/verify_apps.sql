-- Apps whose newest deployment is not known.
select null as id, 'app `' || apps.name || '` is at ' || apps.current || ', which is not known' as what
from apps
where apps.current is not null and not exists (select 1 from deployments where deployments.id = apps.current);
