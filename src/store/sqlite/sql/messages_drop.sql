-- A channel forgets its oldest messages.
delete from messages where channel = ?1 and message_no <= ?2;
