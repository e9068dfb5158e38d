-- Postgres lets everybody call a new function. Here nobody may but whom a grant beside the function names; default
-- privileges would say so too, but of every function that the project makes anywhere.
revoke execute on all routines in schema spend from public;
revoke execute on all routines in schema spend_private from public;
