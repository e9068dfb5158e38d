-- Postgres grants execute on new functions to public. Here only the grants beside the functions hold. Default privileges
-- would affect every other function of the project too.
revoke execute on all routines in schema spend from public;
revoke execute on all routines in schema spend_private from public;
