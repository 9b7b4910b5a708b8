-- Runs whose attribute has one value, between two numbers.
select run_no
from run_attributes
where name = ?21 and kind = ?22 and value = json_extract(?23, '$') and run_no >= ?2 and run_no < ?1
