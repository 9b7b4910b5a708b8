-- The candidate that has so many newer ones. Indexes hold their runs in order.
select run_no from source order by run_no desc limit 1 offset ?3
