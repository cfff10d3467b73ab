"""What is planted. `docs/reliability.md` lists the same with their tests."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bug:
    """`old` in `file` becomes `new`; then `test` must fail."""

    name: str
    file: str
    old: str
    new: str
    test: str


# A few hundred histories of whole workers: for bugs that need the right trouble at the right moment.
SEEDS = "tests/simulation/test_seeds.py::test_every_seed_keeps_every_promise[0]"

BUGS = (
    Bug(
        "no fence",
        "batchers/books.py",
        "            check_fence(batch, locked)\n",
        "",
        "tests/batchers/test_fence.py::test_a_claim_of_another_worker_shuts_the_batch_out",
    ),
    Bug(
        "positions committed before the data",
        "batchers/books.py",
        '            self._reach("fenced")\n',
        "            for slice_ in batch.slices:\n"
        "                await connection.execute(\n"
        '                    "UPDATE ops.lanes SET finance_position = $2 WHERE lane = $1", slice_.lane, slice_.end\n'
        "                )\n"
        '            await connection.execute("COMMIT")\n'
        '            await connection.execute("BEGIN")\n'
        '            self._reach("fenced")\n',
        "tests/acceptance/test_crash_points.py::test_a_worker_killed_there_loses_and_doubles_nothing[read]",
    ),
    Bug(
        "lanes locked in no order",
        "sql/queries/fence.sql",
        "ORDER BY lane\n",
        "ORDER BY lane DESC\n",
        "tests/batchers/test_lock_order.py",
    ),
    Bug(
        "mark before the effect",
        "batchers/drain.py",
        "                await self._patiently(lambda: self._effect(due))\n",
        "                self._marks |= {row.lane: row.seq for row in due}\n"
        "                await self._patiently(lambda: self._effect(due))\n",
        "tests/batchers/test_drain.py::test_a_mark_moves_only_after_the_effect",
    ),
    Bug(
        "no carry-forward",
        "batchers/carry.py",
        "        if movement is None and day > last and row is not None and row.opening_cents == opening:\n",
        "        if movement is None and day > last:\n",
        "tests/batchers/test_carry.py::test_carrying_equals_recomputing_every_day",
    ),
    Bug(
        ">= for > between versions",
        "batchers/decide.py",
        "event.version <= current.version:",
        "event.version < current.version:",
        "tests/batchers/test_decide.py",
    ),
    Bug(
        "an edit adds without taking the old contribution away",
        "batchers/coalesce.py",
        "            _add(days, key, change, before, -before.amount_cents)\n",
        "            pass\n",
        "tests/batchers/test_coalesce.py::test_a_newer_version_adds_the_difference",
    ),
    Bug(
        "a moved transaction stays at its old place too",
        "batchers/writing.py",
        '    if "revenue" in rows.moved:\n',
        "    if False:\n",
        "tests/batchers/test_books.py::test_a_transaction_that_moves_to_another_month_leaves_the_old_partition",
    ),
    Bug(
        "a fill below the floor is accepted",
        "pipeline/cache/balances.py",
        "if tonumber(floor) > tonumber(ARGV[1]) then",
        "if false then",
        "tests/acceptance/test_cache_floors.py",
    ),
    Bug(
        "outbox trimmed as soon as it is published",
        "sql/queries/trim_outbox.sql",
        "least(l.published_seq, l.invalidated_seq)",
        "l.published_seq",
        "tests/batchers/test_writer.py::test_the_outbox_is_trimmed_only_behind_both_marks",
    ),
    Bug(
        "the content hash covers the event's id",
        "schemas/content_hash.py",
        "        event.type,\n",
        "        event.type,\n        event.event_id.bytes,\n",
        "tests/batchers/test_books.py::test_a_duplicate_may_be_written_in_other_bytes",
    ),
    Bug(
        "a lost answer to COMMIT taken for a failure",
        "batchers/books.py",
        "            if already_committed(batch, locked):\n",
        "            if False:\n",
        "tests/batchers/test_unknown_outcome.py::test_an_answer_lost_after_the_commit_is_settled_by_trying_again",
    ),
    Bug(
        "a recreated topic goes unrecognised",
        "consumers/lane.py",
        "        if found != expected:\n",
        "        if False:\n",
        "tests/acceptance/test_topic_faults.py::test_a_recreated_and_refilled_topic_is_refused",
    ),
    Bug(
        "home lanes are not locked",
        "batchers/fence.py",
        "for org_id in slice_.orgs if org_id is not None\n    }\n",
        "for org_id in slice_.orgs if org_id is not None and False\n    }\n",
        "tests/batchers/test_fence.py::test_a_misrouted_organisation_waits_for_its_home_lane",
    ),
    Bug(
        "the usual case of carrying forgets the day before",
        "batchers/carry.py",
        "opening = earlier[-1].closing_cents if earlier else opening_cash_cents",
        "opening = opening_cash_cents",
        "tests/batchers/test_carry.py::test_a_day_opens_with_the_latest_earlier_row_not_with_the_opening_cash",
    ),
    Bug(
        "a known transaction is written as a new one",
        "batchers/writing.py",
        'booking = "new" if before is None else "known"',
        'booking = "new"',
        "tests/batchers/test_books.py::test_a_transaction_that_moves_to_another_month_leaves_the_old_partition",
    ),
    Bug(
        "corrections before the events of their batch",
        "batchers/correct.py",
        "self._before.plus(movement.figures) if movement is not None else self._before",
        "self._before",
        "tests/batchers/test_correct.py::test_figures_that_take_back_what_the_events_of_the_batch_moved_change_nothing",
    ),
    Bug(
        "a correction applies each time it comes",
        "batchers/decide.py",
        "    if before is None:\n",
        "    if before is None or before == fingerprint:\n",
        "tests/acceptance/test_corrections.py::test_each_correction_applies_once_and_its_adjustment_stays",
    ),
    Bug(
        "the position of corrections is not fenced",
        "batchers/fence.py",
        "if position is not None and position != slice_.start:",
        "if position is not None and position != slice_.start and slice_.feed is Feed.EVENTS:",
        "tests/batchers/test_fence.py::test_corrections_that_do_not_begin_where_the_lane_stands_are_shut_out",
    ),
    Bug(
        "a fill without its lease",
        "pipeline/cache/balances.py",
        "if lease ~= ARGV[4] then",
        "if false then",
        "tests/acceptance/test_cache_floors.py::test_a_cache_that_lost_its_keys_takes_nothing_that_was_read_before",
    ),
    Bug(
        "a partition attached meanwhile taken for a fault of the data",
        "pipeline/translate.py",
        "isinstance(error, pg.CheckViolationError) and not error.constraint_name",
        "False",
        "tests/acceptance/test_months_made_late.py",
    ),
    Bug(
        "a connection closed politely, whatever happened",
        "pipeline/storage/connect.py",
        "        async with _dropped_on_failure(connection):\n            yield connection\n        try:\n",
        "        try:\n            yield connection\n        finally:\n            await connection.close()\n"
        "        try:\n",
        "tests/acceptance/test_dead_links.py::test_a_shutdown_does_not_wait_for_a_silent_link",
    ),
    Bug(
        "a home lane does not remember what was recorded under its lock",
        "batchers/advance.py",
        "    if homes:\n",
        "    if False:\n",
        "tests/batchers/test_fence.py::test_events_of_one_organisation_on_two_lanes_are_recorded_in_the_order_of_their_commits",
    ),
    Bug(
        "how far the topics go is asked before the claim",
        "consumers/session.py",
        '        async with self._connected("claiming lanes") as connection:\n'
        "            claimed_lanes = await claim_lanes(connection, claimant, by_feed)\n"
        "        # After the claim: others could have moved the lane past an end that was asked for before.\n"
        "        held = await self._ranges(by_feed)\n",
        "        held = await self._ranges(by_feed)\n"
        '        async with self._connected("claiming lanes") as connection:\n'
        "            claimed_lanes = await claim_lanes(connection, claimant, by_feed)\n",
        "tests/acceptance/test_topic_faults.py::test_a_lane_that_moved_on_while_its_claim_waited_is_not_taken_for_cut",
    ),
    Bug(
        "a claim that waited for a growth goes on",
        "consumers/claiming.py",
        "            # Again: a growth that held the rows while we waited for them has made lanes since.\n"
        "            await _require_lanes(connection, claimant.lane_count)\n",
        "",
        "tests/consumers/test_claiming.py::test_a_claim_that_waited_for_a_growth_is_refused_and_takes_nothing",
    ),
    Bug(
        "a load takes no place in the order of recording",
        "sql/queries/recording_instant.sql",
        "greatest(now(), max(last_recorded_at) + interval '1 microsecond')",
        "least(now(), max(last_recorded_at) + interval '1 microsecond')",
        "tests/properties/test_load.py::test_a_load_takes_its_place_behind_what_its_home_lane_has_recorded",
    ),
    Bug(
        "new lanes begin before what the old ones have recorded",
        "sql/queries/grow_lanes.sql",
        "    last_recorded_at    = $2,\n",
        "    last_recorded_at    = least(last_recorded_at, $2),\n",
        "tests/acceptance/test_growth.py::test_a_stream_grows_though_the_command_is_killed_at_every_step",
    ),
    Bug(
        "headers that are not UTF-8 left to the client",
        "pipeline/record_batches.py",
        "    fetcher.MemoryRecords = RecordBatches\n",
        "    pass\n",
        "tests/acceptance/test_poison.py::test_headers_of_any_kind_keep_no_record_back",
    ),
    Bug(
        "a change is carried past a count",
        "batchers/carry.py",
        "        opening = after.closing_cents\n",
        "        opening = after.calculated_closing_cents\n",
        "tests/batchers/test_histories.py",
    ),
    Bug(
        "dead letters marked as exported and never sent",
        "pipeline/app.py",
        "in_turn(publisher.publish, exporter.export, announcer.announce)",
        "publisher.publish",
        "tests/acceptance/test_dead_letter_topic.py::test_each_letter_is_in_the_topic_as_its_record_came",
    ),
    Bug(
        "letters not read back by the next owner",
        "batchers/outbox.py",
        '        if row["letter_count"]:\n',
        "        if False:\n",
        "tests/acceptance/test_dead_letter_topic.py"
        "::test_a_worker_killed_before_its_letters_are_marked_leaves_them_to_the_next",
    ),
    Bug(
        "a claim forgets that the lane is paused",
        "consumers/claiming.py",
        'if row["paused_by"] is not None else None',
        "if False else None",
        "tests/acceptance/test_pausing.py::test_a_paused_lane_waits_and_its_neighbours_go_on",
    ),
    Bug(
        "an organisation is paused without the lock of every lane",
        "sql/queries/lock_every_lane.sql",
        "ORDER BY lane\nFOR UPDATE\n",
        "ORDER BY lane\n",
        "tests/batchers/test_pauses.py::test_a_pause_begins_behind_the_batch_that_is_on_its_way",
    ),
    Bug(
        "a breaker that never trips",
        "batchers/breaker.py",
        "share > self._settings.share_max",
        "share > 1",
        "tests/batchers/test_breaker.py",
    ),
    Bug(
        "letters by a client that counts what the broker refuses",
        "pipeline/producer.py",
        "enable_idempotence=False",
        "enable_idempotence=True",
        "tests/acceptance/test_dead_letter_topic.py::test_a_letter_that_the_broker_refuses_holds_back_none_behind_it",
    ),
    Bug(
        "what was set aside counts as poison",
        "batchers/breaker.py",
        "window.add(records - set_aside, len(refused) - set_aside)",
        "window.add(records, len(refused))",
        "tests/batchers/test_breaker.py::test_what_was_set_aside_of_a_paused_organisation_is_neither_poison_nor_sound",
    ),
    Bug(
        "a command holds the lanes for as long as it likes",
        "pipeline/cli/pausing.py",
        "from pipeline.storage.connect import briefly, connect_holder",
        "from pipeline.storage.connect import briefly, connect as connect_holder",
        "tests/acceptance/test_pausing.py::test_a_command_that_is_suspended_does_not_hold_up_the_stream",
    ),
    Bug(
        "a trace is lost in the outbox",
        "batchers/outbox.py",
        "            traceparent=balance.traceparent if balance.traceparent is not None else UNSET,\n",
        "",
        "tests/batchers/test_traces.py::test_the_trace_waits_in_the_outbox_and_is_published_from_there",
    ),
    Bug(
        "a batch in hand is not waiting any more",
        "batchers/writer.py",
        "                self._writing = batch\n",
        "",
        "tests/batchers/test_oldest_waiting.py::test_a_batch_in_hand_counts_until_it_is_committed_however_long_that_takes",
    ),
    Bug(
        "a quiet lane never learns that another primary has taken over",
        "consumers/pausing.py",
        "            if self._primary is not None:\n",
        "            if self._primary is not None and self._lanes == []:\n",
        "tests/consumers/test_pausing.py::test_a_worker_whose_lanes_are_quiet_learns_of_another_primary_too",
    ),
    Bug(
        "a batch goes in whoever is the primary",
        "batchers/connection.py",
        "            if now != self._cluster_epoch:\n",
        "            if not now:\n",
        "tests/batchers/test_fence.py::test_books_of_a_primary_that_was_replaced_are_shut_out_with_their_marks",
    ),
    Bug(
        "what the former owner left in the outbox is not read back",
        "batchers/drain.py",
        "        self._behind = {lane for lane, head in heads.items() if marks[lane] < head}\n",
        "        self._behind: set[int] = set()\n",
        SEEDS,
    ),
    Bug(
        "instants of recording follow the clock back",
        "batchers/fence.py",
        "    return max(now, max(lane.last_recorded_at for lane in locked.values()) + 1)\n",
        "    return now\n",
        SEEDS,
    ),
    Bug(
        "updates count as published before the broker has them",
        "batchers/publisher.py",
        "            for delivery in deliveries:\n                await delivery\n                prolong(bound)\n",
        "",
        "tests/simulation/test_seeds.py::test_every_seed_keeps_every_promise[3]",
    ),
    Bug(
        "passwords of addresses in the log",
        "pipeline/logs.py",
        "        _without_secrets,\n",
        "",
        "tests/pipeline/test_logs.py::test_no_password_of_an_address_is_logged_whoever_puts_it_there",
    ),
    Bug(
        "writing to a closed connection raises what clients do not expect",
        "pipeline/loop.py",
        "        return _Connection(transport), protocol\n",
        "        return transport, protocol\n",
        "tests/pipeline/test_loop.py",
    ),
    Bug(
        "a client's own cancellation is taken for ours",
        "pipeline/translate.py",
        "        if _asked_to_end():\n            raise\n",
        "        if _asked_to_end() or error:\n            raise\n",
        "tests/pipeline/test_translate.py::test_a_clients_own_cancellation_is_an_answer_that_did_not_come",
    ),
    Bug(
        "updates wait for ever for a client that has died in part",
        "batchers/delivering.py",
        "    bound.reschedule(asyncio.get_running_loop().time() + ANSWER_SECONDS_MAX)\n",
        "    bound.reschedule(None)\n",
        "tests/batchers/test_publisher.py",
    ),
    Bug(
        "a client is ended politely, and waits for a broker that reads nothing",
        "pipeline/abandoning.py",
        "        writer.transport.abort()\n",
        "        writer.close()\n",
        "tests/pipeline/test_abandoning.py",
    ),
    Bug(
        "a broker that says nothing is waited for, for ever",
        "consumers/watching.py",
        "            if time.monotonic() - self._answered_at > self._stall_seconds:\n",
        "            if False:\n",
        "tests/consumers/test_watching.py::test_a_broker_that_is_silent_for_long_is_asked_by_another_client",
    ),
    Bug(
        "an effect whose client lost a cancellation keeps its lanes",
        "batchers/drain.py",
        "                    _not_if_cancelled()\n",
        "                    pass\n",
        "tests/batchers/test_lane_group.py",
    ),
    Bug(
        "an operator signs the audit as somebody else",
        "sql/migrations/0017_append_only_audit.sql",
        "GRANT INSERT (who, command, detail) ON ops.operator_audit TO folio_operator;\n\n-- Not",
        "GRANT INSERT ON ops.operator_audit TO folio_operator;\n\n-- Not",
        "tests/sql/test_roles.py::test_an_operator_alters_no_entry_of_the_audit_and_forges_none",
    ),
    Bug(
        "a check does not look at openings",
        "sql/queries/drifted_balances.sql",
        "    WHEN there THEN opening <> right_opening OR cash_received",
        "    WHEN there THEN cash_received",
        "tests/consistency/test_checking.py",
    ),
    Bug(
        "a check looks for days that are missing, and not for surplus ones",
        "sql/queries/drifted_balances.sql",
        "    FULL JOIN booked AS m USING (org_id, property_id, balance_date)\n",
        "    RIGHT JOIN booked AS m USING (org_id, property_id, balance_date)\n",
        "tests/consistency/test_checking.py",
    ),
    Bug(
        "a check notes at its end what it has seen, and not at its beginning",
        "pipeline/consistency/job.py",
        '    await job.save("done", None)\n',
        '    progress.until = await watermarks(means.reading)\n    await job.save("done", None)\n',
        "tests/consistency/test_checking.py::TestIncrementally::"
        "test_what_is_recorded_while_a_check_runs_is_seen_by_the_next",
    ),
    Bug(
        "a recompute raises no version",
        "batchers/carry.py",
        "        version=row.version + 1 if row is not None else 1,\n",
        "        version=(max(row.version, 2) if movement and movement.cause == 'correction' else row.version + 1)\n"
        "        if row is not None\n"
        "        else 1,\n",
        "tests/consistency/test_repair.py::test_every_drift_is_found_and_made_right_by_the_streams_own_means",
    ),
    Bug(
        "a recompute leaves a wrong opening",
        "batchers/correct.py",
        "        if figures == NOTHING and count is None and not self.recomputed:\n",
        "        if figures == NOTHING and count is None:\n",
        "tests/batchers/test_correct.py",
    ),
    Bug(
        "a child is known by the folder in which it works",
        "pipeline/stack/process.py",
        "    if child is not None:\n",
        "    if child is not None and child.handle.poll() is not None:\n",
        "tests/stack/test_parts.py::TestProcess::test_a_child_that_leaves_its_folder_is_still_ours",
    ),
    Bug(
        "a broker leaves its folder when it starts",
        "pipeline/stack/kafka.py",
        '    "-XX:-UsePerfData",\n',
        "",
        "tests/stack/test_stack.py::TestRunning::test_the_broker_keeps_no_file_of_counters",
    ),
    Bug(
        "maintenance waits for its lock as long as it takes, and every writer behind it",
        "sql/queries/bound_step.sql",
        "set_config('lock_timeout', $1, true)",
        "set_config('lock_timeout', left($1, 0) || '0', true)",
        "tests/maintenance/partitions/test_command.py::test_while_it_waits_for_a_lock_nobody_waits_long_behind_it",
    ),
    Bug(
        "months leave by the clock of the machine alone",
        "pipeline/maintenance/partitions/planning.py",
        "    seen = min(now, state.newest_append)\n",
        "    seen = now\n",
        "tests/maintenance/partitions/test_planning.py::test_a_clock_that_is_wrong_by_years_takes_nothing_away",
    ),
    Bug(
        "a month is dropped before it is archived",
        "sql/migrations/0018_partition_lifecycle.sql",
        "    IF expired.to_archive AND (",
        "    IF false AND (",
        "tests/maintenance/partitions/test_command.py::test_what_was_to_be_archived_is_not_dropped_without",
    ),
    Bug(
        "once a month has left, any row may be absent",
        "pipeline/oracle/compare.py",
        "    return (stored.event.aggregate_type, at.year, at.month) in months\n",
        "    return bool(months) and at.year > 0\n",
        "tests/oracle/test_compare.py::test_rows_of_months_that_were_taken_away_may_be_absent_no_others",
    ),
    Bug(
        "a replica's position is not compared with what was written",
        "pipeline/storage/replicas/choice.py",
        "    return position.lsn >= intent.lsn and intent.epoch",
        "    return intent.epoch",
        "tests/replicas/test_router.py::test_a_replica_that_stands_still_is_passed_over_by_who_has_written",
    ),
    Bug(
        "critical lag takes no replica out",
        "pipeline/storage/replicas/choice.py",
        "    if seconds >= bounds.critical_seconds:\n        return Condition.TOO_LATE\n",
        "",
        "tests/replicas/test_health.py::test_one_that_does_not_come_nearer_is_late_and_then_out",
    ),
    Bug(
        "a replica of a lost primary is believed",
        "pipeline/storage/replicas/choice.py",
        "    if position.epoch != primary.epoch:\n",
        "    if not position.epoch:\n",
        "tests/replicas/test_old_timeline.py",
    ),
    Bug(
        "between two looks a replica of another history is believed",
        "pipeline/storage/replicas/router.py",
        "        if not position.in_recovery or position.epoch != self.checks.history:\n",
        "        if not position.in_recovery:\n",
        "tests/replicas/test_old_timeline.py::test_between_two_looks_a_replica_of_another_cluster_answers_nobody",
    ),
    Bug(
        "a read that met another primary keeps it to itself",
        "pipeline/storage/replicas/router.py",
        "            self.checks.met_primary(position.epoch)\n",
        "            pass\n",
        "tests/replicas/test_old_timeline.py::"
        "test_between_two_looks_one_on_an_old_timeline_is_out_as_soon_as_a_read_has_met_the_new_primary",
    ),
    Bug(
        "a position of another history counts",
        "pipeline/storage/replicas/choice.py",
        " and intent.epoch == position.epoch",
        "",
        "tests/replicas/test_choice.py::TestHas::test_a_position_of_another_history_says_nothing",
    ),
    Bug(
        "a read that a replica did not answer is not done elsewhere",
        "pipeline/storage/replicas/router.py",
        "                self._failed(server, error)\n",
        "                self._failed(server, error)\n                raise\n",
        "tests/replicas/test_faults.py",
    ),
    Bug(
        "the organisation of a read outlives its transaction",
        "sql/queries/begin_reading.sql",
        "$1::bigint::text, true)",
        "$1::bigint::text, false)",
        "tests/replicas/test_router.py::test_nothing_of_a_read_outlives_it",
    ),
    Bug(
        "a day's transactions are looked for in every month",
        "sql/queries/revenues_of_day.sql",
        "  AND t.occurred_at >= ($3::date::timestamp AT TIME ZONE 'UTC') - interval '14 hours'\n",
        "",
        "tests/sql/test_plans.py::test_only_the_partitions_that_can_hold_the_rows_are_touched",
    ),
    Bug(
        "the books at an instant go by what came last, not by the highest version",
        "sql/queries/booked_as_recorded.sql",
        "     ORDER BY v.version DESC\n",
        "     ORDER BY v.recorded_at DESC\n",
        "tests/storage/test_as_of.py::test_the_highest_version_counts_and_not_the_one_that_came_last",
    ),
    Bug(
        "the books are told of an instant that is not settled",
        "pipeline/storage/as_of.py",
        '            _refuse_past(_watermark(org_id, row["watermarks"]), org_id, recorded_at)\n',
        "",
        "tests/storage/test_as_of.py::test_past_the_safe_watermark_nothing_is_answered",
    ),
    Bug(
        "a page that is full is taken for one of more",
        "pipeline/storage/reading.py",
        "if len(items) > limit else None",
        "if len(items) >= limit else None",
        "tests/storage/test_repositories.py::test_pages_hold_every_row_once_whatever_their_size",
    ),
    Bug(
        "a name is remembered that another writer has changed",
        "batchers/user_memory.py",
        "            if self._left_at.get(lane) != row.last_recorded_at:\n",
        "            if False:\n",
        "tests/storage/test_repositories.py::test_a_name_that_another_writer_changed_is_written_again",
    ),
    Bug(
        "headers left out of the chain",
        "schemas/chain.py",
        "self._hasher.update(_encode(row))",
        "self._hasher.update(_encode(row[:-1]))",
        "tests/schemas/test_chain.py::test_the_oracle_makes_the_same_head",
    ),
    Bug(
        "heads not compared with the topic",
        "pipeline/tamper/judging.py",
        "            if link[1] == head:\n",
        "            if link[1]:\n",
        "tests/tamper/test_judging.py::test_a_rewritten_chain_is_told_by_the_topic_alone",
    ),
    Bug(
        "the epoch left out of a link",
        "schemas/chain.py",
        "                    link.cluster_epoch,\n",
        "                    None,\n",
        "tests/schemas/test_chain.py::test_the_oracle_makes_the_same_head",
    ),
    Bug(
        "a rebuilt day keeps its version",
        "pipeline/rebuild/balances.py",
        "            version = 1 + (max(before, version_bound) if some_lost else before)\n",
        "            version = max(1, max(before, version_bound) if some_lost else before)\n",
        "tests/rebuild/test_books.py::test_a_version_rises_by_one_and_everybody_is_told",
    ),
    Bug(
        "a lost day comes back with the versions that it has had",
        "pipeline/rebuild/balances.py",
        "(max(before, version_bound) if some_lost else before)",
        "before",
        "tests/rebuild/test_books.py::test_a_lost_row_comes_back_above_every_version_that_it_can_have_had",
    ),
    Bug(
        "a rebuild reads the home lanes without locking them",
        "pipeline/rebuild/steps.py",
        "                    lanes = await lock_lanes(connection, homes)\n",
        '                    statement = sql.query("fence").replace("FOR UPDATE", "")\n'
        "                    rows = await connection.fetch(statement, sorted(homes))\n"
        '                    lanes = {row["lane"]: LockedLane(*row) for row in rows}\n',
        "tests/rebuild/test_locks.py",
    ),
    Bug(
        "a row of the outbox that a rebuild appended is passed over",
        "batchers/drain.py",
        "        follows = all(row.seq <= self._heads[row.lane] + 1 for row in rows)\n",
        "        follows = True\n",
        "tests/batchers/test_drain.py::test_a_row_that_nobody_offered_has_its_effect_before_the_next",
    ),
    Bug(
        "what a rebuild appended to a quiet lane waits for its next batch",
        "consumers/pausing.py",
        '            self._writers.see_outbox(lane, row["outbox_seq"])\n',
        "",
        "tests/acceptance/test_rebuild.py::test_the_owner_of_a_quiet_lane_tells_what_was_rebuilt",
    ),
    Bug(
        "a rebuilt transaction was made by who edited it last",
        "pipeline/rebuild/folding.py",
        "        current = next_snapshot(current, record, row[5])\n",
        "        current = next_snapshot(None, record, row[5])\n",
        "tests/rebuild/test_books.py::test_right_books_stay_as_they_are",
    ),
    Bug(
        "what was stored between the look and the lock is written over",
        "pipeline/rebuild/transactions.py",
        "    if not moved_on:\n",
        "    if True:\n",
        "tests/rebuild/test_books.py::test_writers_that_go_on_meanwhile_lose_nothing",
    ),
)
