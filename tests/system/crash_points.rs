//! An abort at each named crash point that a command passes.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use embedded::crash::{POINTS, Point};
use serde_json::Value;

use crate::crashes::{Shopper, up};
use crate::fresh::{assert_accounted, digests};
use crate::stream::Stream;
use crate::twofold::{Twofold, ledger, text};

const SIGABRT: i32 = 6;

/// Which commands pass a point, or why none does. Without a wildcard: a new point does not compile
/// before it stands here.
enum Passed {
    /// `up`, for which the directory is new.
    ByUp,
    /// `up`, and `update` over a stream with late records, which it appends to their topic.
    ByBoth,
    /// `lanes remove`.
    ByRemoval,
    Never(&'static str),
}

fn passed(point: Point) -> Passed {
    match point {
        // Topics are created by whichever command comes first in a directory; before `update` that is an
        // import.
        Point::LogCreateBeforeWrite | Point::LogCreateAfterWrite => Passed::ByUp,
        Point::LogAppendBeforeWrite
        | Point::LogAppendAfterWrite
        | Point::LogAppendAfterSync
        | Point::LogAppendBeforeReply
        | Point::StateClaimBeforeWrite
        | Point::StateClaimAfterWrite
        | Point::StateCommitBeforeWrite
        | Point::StateCommitAfterWrite => Passed::ByBoth,
        Point::StateCommitAfterSync => Passed::Never(
            "no command that keeps data syncs commits: the log is synced, so a lost tail is replayed",
        ),
        Point::StateRemoveAfterMark | Point::StateRemoveBeforeUnmark => Passed::ByRemoval,
    }
}

fn points(wanted: fn(&Passed) -> bool) -> impl Iterator<Item = Point> {
    POINTS.iter().copied().filter(move |point| wanted(&passed(*point)))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_of_up_at_each_point_loses_nothing() {
    for point in points(|passed| matches!(passed, Passed::ByUp | Passed::ByBoth)) {
        let twofold = Twofold::new();
        let mut shopper = Shopper::default();
        // The third append is one of events; those before it may be of the service's own topics.
        let nth = if point.name().starts_with("log.append") { 3 } else { 1 };
        let (mut running, address) = up(&twofold, &["--crash-at", &format!("{point}:{nth}")]);
        if let Some(address) = address {
            shopper.shop(&address, Duration::from_secs(60)).await;
        }
        // Nobody answers any more, so it is gone or going.
        let ended = running.0.wait().unwrap();
        assert_eq!(ended.signal(), Some(SIGABRT), "{point}: {ended}");
        shopper.verify(&twofold, point.name()).await;
    }
}

#[test]
fn an_abort_of_update_at_each_point_loses_nothing() {
    let imported = Twofold::new();
    imported.file("twofold.toml", "[updater]\nbatch_records = 50\n");
    let mut stream = Stream::new(3);
    (0..2).for_each(|_| stream.import(&imported, 1000));
    let undisturbed = digests(&stream.undisturbed());
    for point in points(|passed| matches!(passed, Passed::ByBoth)) {
        for nth in [1, 4] {
            let twofold = imported.copy();
            let at = format!("{point}:{nth}");
            let small = ["--config", "twofold.toml", "--crash-at", &at, "update", "--drain"];
            let output = twofold.output(&small);
            assert_eq!(output.status.signal(), Some(SIGABRT), "{at}: {}", text(&output.stderr));
            twofold.json(&["update", "--drain"]);
            let status = twofold.json(&["status", "--digest"]);
            assert_accounted(&status, &at);
            assert_eq!(digests(&status), undisturbed, "{at}: states differ");
        }
    }
}

#[test]
fn an_abort_of_a_removal_at_each_point_leaves_no_state_of_the_lane() {
    let updated = Twofold::new();
    let mut stream = Stream::new(5);
    stream.import(&updated, 1000);
    updated.json(&["update", "--drain"]);
    let undisturbed = updated.json(&["status", "--digest"]);
    let lanes = updated.json(&["lanes", "list"]);
    let of_visitors = |lane: &&Value| lane["of"] == "clickstream by visitor";
    let lane = lanes["lanes"].as_array().unwrap().iter().find(of_visitors).unwrap();
    let lane = lane["id"].as_str().unwrap();
    for point in points(|passed| matches!(passed, Passed::ByRemoval)) {
        // A lane is removed partition by partition: at the first, and between the second's and the third's.
        for nth in [1, 2] {
            let twofold = updated.copy();
            let at = format!("{point}:{nth}");
            let output = twofold.output(&["--crash-at", &at, "lanes", "remove", lane]);
            assert_eq!(output.status.signal(), Some(SIGABRT), "{at}: {}", text(&output.stderr));
            // The others stand; the partitions that were begun are gone, and are folded from nothing.
            let after = twofold.json(&["status"]);
            let gone = after["lanes"].as_array().unwrap().iter().filter(|l| l["read"] == 0).count();
            let empty = undisturbed["lanes"].as_array().unwrap().iter().filter(|l| l["read"] == 0);
            assert_eq!(gone, empty.count() + nth, "{at}: {after}");
            assert_eq!(ledger(&after, "item", "lag"), 0, "{at}: {after}");
            twofold.json(&["update", "--drain"]);
            let status = twofold.json(&["status", "--digest"]);
            assert_accounted(&status, &at);
            assert_eq!(digests(&status), digests(&undisturbed), "{at}: states differ");
        }
    }
}

#[test]
fn what_is_said_to_be_passed_by_no_command_is_not() {
    let imported = Twofold::new();
    Stream::new(4).import(&imported, 200);
    for point in POINTS {
        let Passed::Never(why) = passed(*point) else { continue };
        let twofold = imported.copy();
        for command in [&["update", "--drain"][..], &["archive"], &["bootstrap"]] {
            let output = twofold.output(&[&["--crash-at", point.name()], command].concat());
            assert!(output.status.success(), "{point}: not so any more: {why}");
        }
    }
}
