-- Runs whose attribute is between two values, between two numbers. Infinity is less than every value, a blob is more.
select run_no
from run_attributes
where name = ?21 and kind = ?22 and value >= coalesce(json_extract(?23, '$'), -9e999)
    and value <= coalesce(json_extract(?24, '$'), x'') and run_no >= ?2 and run_no < ?1
