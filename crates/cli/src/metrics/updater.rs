//! What the updater of this process did.

use std::fmt;

use definitions::Lane;
use online::updater::{Counters, Handle};

use super::lanes::outcomes;
use super::page::{Labels, Page, labels};

pub(super) fn write(page: &mut Page<'_>, updater: &Handle) -> fmt::Result {
    counters(page, updater.counters())?;
    let help =
        "Whether all that the log held at the start is covered, in the partitions that it has";
    let caught_up = u64::from(updater.is_caught_up());
    page.gauge("twofold_updater_caught_up", help, [(Vec::new(), caught_up)])?;
    let held = updater.progress();
    let help = "Partitions that this updater works on";
    let of_lane = |lane: &Lane| held.iter().filter(|(id, _, _)| *id == lane.id).count() as u64;
    let partitions = updater.lanes().iter().map(|lane| (of(lane), of_lane(lane)));
    page.gauge("twofold_updater_partitions", help, partitions)?;

    let lanes = updater.measures();
    let help = "Records by what became of them, when they were committed; folded again after a rewind, they \
                count again";
    let records = lanes.iter().flat_map(|(lane, m)| outcomes(&of(lane), m.records));
    page.counter("twofold_updater_records", help, records)?;
    let help = "Dead letters by reason";
    let letters = lanes.iter().flat_map(|(lane, measured)| {
        let reasons = measured.dead_letters.iter();
        reasons.map(|(reason, count)| {
            let [source, entity] = [("source", &*lane.source.name), ("entity", &*lane.entity)];
            (labels([source, entity, ("reason", reason.as_str())]), *count)
        })
    });
    page.counter("twofold_updater_dead_letters", help, letters)?;
    let help = "From the first attempt to commit until the store had taken it";
    let commits = lanes.iter().map(|(lane, measured)| (of(lane), measured.commit.clone()));
    page.durations("twofold_updater_commit", help, commits)?;
    let help = "From the append of a record until its commit, of those appended since the start";
    let visible = lanes.iter().map(|(lane, measured)| (of(lane), measured.visible.clone()));
    page.durations("twofold_updater_visible", help, visible)
}

fn of(lane: &Lane) -> Labels {
    labels([("source", &lane.source.name), ("entity", &lane.entity)])
}

fn counters(page: &mut Page<'_>, counters: Counters) -> fmt::Result {
    // All of them: a new one has to be written, too.
    let Counters {
        records,
        batches,
        commits,
        lost_replies,
        replays,
        covered_again,
        retries,
        partitions_assigned,
        partitions_revoked,
        partitions_lost,
        fenced,
        hints_failed,
        states_read,
        states_written,
        state_bytes_written,
        states_swept,
        vectors_written,
        late_written,
        dead_letters_written,
        originals_left_out,
    } = counters;
    page.counters(&[
        ("twofold_updater_read_records", "Records read from the log, once for all lanes", records),
        ("twofold_updater_batches", "Micro-batches", batches),
        (
            "twofold_updater_commits",
            "Commits of a lane in a partition that the store took",
            commits,
        ),
        ("twofold_updater_lost_replies", "Commits whose reply was lost", lost_replies),
        (
            "twofold_updater_rewinds",
            "Times that a lane went back to where the store is, because that had moved",
            replays,
        ),
        (
            "twofold_updater_covered_again_records",
            "Records read that a lane had covered already",
            covered_again,
        ),
        ("twofold_updater_retries", "Attempts on log or store that failed", retries),
        (
            "twofold_updater_partitions_assigned",
            "Partitions that the group gave to this updater",
            partitions_assigned,
        ),
        (
            "twofold_updater_partitions_revoked",
            "Partitions that were handed over to others",
            partitions_revoked,
        ),
        (
            "twofold_updater_partitions_lost",
            "Partitions that others took because this updater was silent",
            partitions_lost,
        ),
        (
            "twofold_updater_fenced",
            "Times that another updater had claimed a partition that this one worked on",
            fenced,
        ),
        ("twofold_updater_hints_failed", "Positions that the group was not told", hints_failed),
        ("twofold_updater_states_read", "States read from the store", states_read),
        ("twofold_updater_states_written", "States written to the store", states_written),
        (
            "twofold_updater_state_bytes_written",
            "Bytes of the states written to the store, with their keys",
            state_bytes_written,
        ),
        (
            "twofold_updater_states_swept",
            "States removed from the store because nobody can see them any more",
            states_swept,
        ),
        (
            "twofold_updater_vectors_written",
            "Interest vectors written to the store",
            vectors_written,
        ),
        ("twofold_updater_late_written", "Late records written to their topic", late_written),
        (
            "twofold_updater_dead_letters_written",
            "Dead letters written to their topic",
            dead_letters_written,
        ),
        (
            "twofold_updater_originals_left_out",
            "Late records and dead letters written without their bytes, which were too many",
            originals_left_out,
        ),
    ])
}
