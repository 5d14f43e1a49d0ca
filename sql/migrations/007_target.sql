-- A target, or a delivery's instance, as people may see it: without user, password and query,
-- of long segments of a path the beginning alone, and nothing at all of what cannot be read.
-- The same rule in Go is relay.ShownTarget. The body is bound here, whatever path a session has.

-- step: transaction

create or replace function relay.shown_target(target text) returns text
language sql immutable parallel safe
return (
  select case
    when t.target is null
      or t.target operator(pg_catalog.=) ''
      -- The address and port of a broadcast's instance.
      or t.target operator(pg_catalog.~*) '^([0-9.]+|\[[0-9a-f:.]+(%[0-9a-z._-]+)?\]):[0-9]+$'
      -- An exchange or a queue, and no broker's URL.
      or t.target operator(pg_catalog.~) '^amqp:(?!//)[^/]*/'
        and t.target operator(pg_catalog.!~) '^amqp:[^/]*:[^/]*@|[\x01-\x1f\x7f]'
      -- A subscription.
      or t.target operator(pg_catalog.!~) '[:/\x01-\x20\x7f]'
    then t.target
    when u.part is null then '(a target that cannot be read)'
    else pg_catalog.concat(u.part[1], u.part[3], u.part[5],
      pg_catalog.regexp_replace(pg_catalog.regexp_replace(pg_catalog.regexp_replace(u.part[6],
        '/[^/]*[^!-~/][^/]*', pg_catalog.concat('/', cut.dots), 'g'), '/([^/]{4})[^/]{12,}', pg_catalog.concat('/\1', cut.dots), 'g'),
        pg_catalog.concat('%[0-9A-Fa-f]?', cut.dots), cut.dots, 'g'),
      case when pg_catalog.length(u.part[7]) operator(pg_catalog.>) 1 then pg_catalog.concat('?', cut.dots) end)
  end
  from (select pg_catalog.regexp_replace(target, '^[\x01-\x20\x7f]+|[\x01-\x20\x7f]+$', '', 'g')) as t(target)
  -- The sign for what is left out, U+2026: migrations hold ASCII alone.
  cross join (select pg_catalog.convert_from('\xe280a6', 'UTF8')) as cut(dots)
  -- The scheme, the user and password, the host with the zone of an address, the port, the path and the query.
  cross join lateral (select case
    when t.target operator(pg_catalog.!~) '[\x01-\x20\x7f\\#]'
      and pg_catalog.split_part(t.target, '?', 1) operator(pg_catalog.!~*) '%($|[^0-9a-f]|[0-9a-f]($|[^0-9a-f]))'
    then pg_catalog.regexp_match(t.target, '^(https?://)([a-z0-9._:~!$&''()*+,;=%@-]*@)?'
      '([a-z0-9._-]+|\[[0-9a-f:.]+(%25[a-z0-9._-]+)?\])(:[0-9]{0,5})?(/[^?]*)?(\?.*)?$', 'i')
  end) as u(part)
);
