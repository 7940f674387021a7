"""What an SQLite ledger has beside its tables: triggers that keep rows as they are, and views for people who look.

`raise(abort, …)` refuses a statement whole. REPLACE deletes without the delete triggers (unless recursive_triggers is
on), so an insert that would replace is refused, too: https://www.sqlite.org/lang_conflict.html. Whoever may write the
file can drop all this; they cannot mend the chain that the audit channel has seen.
"""

from typing import Final

MIGRATIONS: Final[tuple[tuple[str, str], ...]] = (
    (
        "sqlite_0001_kept_whole",
        """
        create trigger events_are_not_changed before update on events
        begin select raise(abort, 'events are never changed'); end;
        create trigger events_are_not_removed before delete on events
        begin select raise(abort, 'events are never removed'); end;
        create trigger events_are_appended before insert on events
        when new.id is not (select coalesce(max(id), 0) + 1 from events)
            or exists (select 1 from events where cancellation = new.cancellation and seq = new.seq)
        begin select raise(abort, 'events are only added at the end, and never replaced'); end;
        create trigger lists_are_not_changed before update on lists
        begin select raise(abort, 'lists are never changed'); end;
        create trigger lists_are_not_removed before delete on lists
        begin select raise(abort, 'lists are never removed'); end;
        create trigger lists_are_not_replaced before insert on lists
        when exists (select 1 from lists where sha256 = new.sha256 and names is not new.names)
        begin select raise(abort, 'lists are never changed'); end;
        create trigger lists_are_added_once before insert on lists
        when exists (select 1 from lists where sha256 = new.sha256 and names is new.names)
        begin select raise(ignore); end;
        """,
    ),
    # A page of each view is read from the end of the chain, without going through all of it: of a call's answer the
    # place to look is right after its sending. docs/datasette.yml says what the columns are.
    (
        "sqlite_0002_views",
        """
        create view overview as
        select
            id as cancellation,
            replace(substr(json_extract(state, '$.at'), 1, 19), 'T', ' ') as requested_at,
            requester as requested_by,
            case json_extract(state, '$.order.verb')
                when 'job' then 'cancel ' || (
                    select group_concat(value, ', ') from json_each(state, '$.order.statuses')
                ) || ' tasks'
                when 'devices' then coalesce('cancel ' || json_extract(state, '$.order.listed.count'), 'cancel')
                    || ' named devices'
                else 'stop strategy'
            end as what,
            json_extract(state, '$.order.reason') as reason,
            (select group_concat(json_extract(value, '$.actor'), ', ') from json_each(state, '$.votes')) as approved_by,
            json_extract(state, '$.broke_glass.actor') as broke_glass,
            phase as state,
            json_extract(state, '$.run.asked') as asked,
            json_extract(state, '$.run.accepted') as accepted,
            json_extract(state, '$.run.confirmed') as confirmed,
            json_extract(state, '$.run.left') as left_over,
            replace(substr(json_extract(state, '$.ended'), 1, 19), 'T', ' ') as ended_at,
            nullif(json_extract(state, '$.why'), '') as why_ended,
            account,
            coalesce(json_extract(state, '$.plan.job'), json_extract(state, '$.order.job')) as job,
            json_extract(state, '$.preview.job.version') as version,
            json_extract(state, '$.needs') as approvals_needed,
            json_extract(state, '$.retry_of') as rest_of
        from cancellations;

        create view decisions as
        select
            id as event,
            replace(substr(at, 1, 19), 'T', ' ') as at,
            cancellation,
            actor as who,
            replace(kind, '_', ' ') as decision,
            coalesce(
                json_extract(body, '$.reason'), json_extract(body, '$.order.reason'), json_extract(body, '$.result')
            ) as reason,
            (select group_concat(value, ', ') from json_each(body, '$.evidence.groups')) as groups,
            coalesce(json_extract(body, '$.plan'), json_extract(body, '$.digest')) as plan,
            digest
        from events
        where kind in (
            'requested', 'ordered_anyway', 'confirmed', 'approved', 'rejected', 'withdrawn', 'broke_glass', 'stopped',
            'expired', 'voided', 'retried', 'finished'
        );

        create view approvals as
        select
            answer.id as event,
            replace(substr(answer.at, 1, 19), 'T', ' ') as at,
            answer.cancellation,
            answer.actor as who,
            replace(answer.kind, '_', ' ') as answer,
            asked.actor as requested_by,
            json_extract(asked.body, '$.account') as account,
            json_extract(confirmed.body, '$.needs') as approvals_needed,
            (select group_concat(value, '; ') from json_each(confirmed.body, '$.reasons')) as needed_because,
            json_extract(answer.body, '$.reason') as reason,
            (select group_concat(value, ', ') from json_each(answer.body, '$.evidence.groups')) as groups,
            (select group_concat(value, ', ') from json_each(
                answer.body, iif(answer.kind = 'broke_glass', '$.policy.break_glass', '$.policy.approvers')
            )) as entitled,
            json_extract(answer.body, '$.plan') as plan,
            iif(json_extract(answer.body, '$.plan') = json_extract(confirmed.body, '$.plan'), 'yes', 'no')
                as plan_was_confirmed
        from events as answer
        left join events as asked on asked.cancellation = answer.cancellation and asked.seq = 1
        left join events as confirmed on confirmed.id = (
            select id from events where cancellation = answer.cancellation and kind = 'confirmed' order by seq limit 1
        )
        where answer.kind in ('approved', 'rejected', 'broke_glass');

        create view plans as
        select
            id as event,
            replace(substr(at, 1, 19), 'T', ' ') as at,
            cancellation,
            json_extract(body, '$.plan.cloud') as cloud,
            json_extract(body, '$.plan.endpoint') as endpoint,
            json_extract(body, '$.plan.region') as region,
            coalesce(json_extract(body, '$.plan.instance'), json_extract(body, '$.plan.org')) as instance,
            json_extract(body, '$.plan.key') as key,
            (select group_concat(distinct json_extract(value, '$.action')) from json_each(body, '$.plan.steps'))
                as operations,
            (select group_concat(distinct json_extract(value, '$.job')) from json_each(body, '$.plan.steps')) as jobs,
            (select group_concat(value, ', ') from json_each(body, '$.plan.statuses')) as statuses,
            json_extract(body, '$.plan.at_most') as at_most,
            (select sum(json_extract(value, '$.calls')) from json_each(body, '$.plan.steps')) as calls,
            (select group_concat(distinct json_extract(value, '$.names')) from json_each(body, '$.plan.steps'))
                as lists,
            json_extract(body, '$.digest') as plan
        from events
        where kind = 'previewed';

        create view devices as
        select
            planned.cancellation,
            planned.id as event,
            step.key + 1 as step,
            json_extract(step.value, '$.job') as job,
            device.key + 1 as position,
            device.value as device,
            lists.sha256 as list
        from events as planned
        join json_each(planned.body, '$.plan.steps') as step
        join lists on lists.sha256 = json_extract(step.value, '$.names')
        join json_each('[' || replace(json_quote(lists.names), '\\n', '","') || ']') as device
        where planned.kind = 'previewed';

        create view calls as
        select
            sent.id as event,
            replace(substr(sent.at, 1, 19), 'T', ' ') as sent_at,
            replace(substr(coalesce(settled.at, answered.at), 1, 19), 'T', ' ') as known_at,
            sent.cancellation,
            json_extract(sent.body, '$.call') as call,
            json_extract(sent.body, '$.attempt') as attempt,
            json_extract(sent.body, '$.action') as operation,
            json_extract(sent.body, '$.count') as devices,
            coalesce(json_extract(coalesce(settled.body, answered.body), '$.outcome'), 'no answer yet') as outcome,
            case
                when json_extract(coalesce(settled.body, answered.body), '$.by') = 'read' then 'a look at the cloud'
                when answered.id is not null then 'its answer'
            end as known_from,
            nullif(json_extract(answered.body, '$.code'), '') as code,
            nullif(json_extract(answered.body, '$.message'), '') as message,
            nullif(json_extract(coalesce(settled.body, answered.body), '$.request_id'), '') as request_id
        from events as sent
        left join events as answered on answered.id = (
            select id from events
            where cancellation = sent.cancellation and seq > sent.seq and kind = 'call_finished'
                and json_extract(body, '$.call') = json_extract(sent.body, '$.call')
                and json_extract(body, '$.attempt') = json_extract(sent.body, '$.attempt')
            order by seq limit 1
        )
        left join events as settled on settled.id = (
            select id from events
            where json_extract(answered.body, '$.outcome') = 'unknown'
                and cancellation = sent.cancellation and seq > answered.seq and kind = 'call_finished'
                and json_extract(body, '$.call') = json_extract(sent.body, '$.call')
                and json_extract(body, '$.attempt') = json_extract(sent.body, '$.attempt')
            order by seq limit 1
        )
        where sent.kind = 'call_sent';

        create view refusals as
        select
            id as event,
            replace(substr(at, 1, 19), 'T', ' ') as at,
            cancellation,
            actor as who,
            replace(json_extract(body, '$.what'), '_', ' ') as wanted_to,
            json_extract(body, '$.reason') as why_not
        from events
        where kind = 'refused';

        create view guards_changed as
        select
            events.id as event,
            replace(substr(at, 1, 19), 'T', ' ') as at,
            actor as started_by,
            json_extract(body, '$.account') as account,
            rule.key as rule,
            trim(replace(replace(json_extract(body, '$.before.' || rule.key), '"', ''), ',', ', '), '[]{}') as before,
            trim(replace(replace(json_extract(body, '$.after.' || rule.key), '"', ''), ',', ', '), '[]{}') as after
        from events
        join json_each(json_patch(
            coalesce(json_extract(body, '$.before'), '{}'), coalesce(json_extract(body, '$.after'), '{}')
        )) as rule
        where kind = 'guard_changed'
            and json_extract(body, '$.before.' || rule.key) is not json_extract(body, '$.after.' || rule.key);

        create view checkpoints as
        select
            id as event,
            replace(substr(at, 1, 19), 'T', ' ') as at,
            json_extract(body, '$.events') as events_before,
            json_extract(body, '$.head') as head_before,
            digest
        from events
        where kind = 'checkpoint';

        create view story as
        select
            id as event,
            cancellation,
            seq as step,
            replace(substr(at, 1, 19), 'T', ' ') as at,
            actor as who,
            replace(kind, '_', ' ') as what,
            coalesce(
                json_extract(body, '$.reason'),
                json_extract(body, '$.order.reason'),
                json_extract(body, '$.result'),
                'call ' || json_extract(body, '$.call') || coalesce(
                    ': ' || rtrim(json_extract(body, '$.outcome') || ' ' || json_extract(body, '$.code')),
                    ': ' || json_extract(body, '$.count') || ' devices', ''
                )
            ) as in_short,
            body as details,
            digest
        from events;
        """,
    ),
)
