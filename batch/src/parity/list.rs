//! The list that was served: what was answered is what is on record, in the order that scores and sources
//! give.

use candidate_pipeline::top_k;
use candidates::index::Indexes;
use candidates::pool;
use candidates::source::{self, Hit, Query};
use hashbrown::HashMap;
use wire::v1;

use super::Report;
use super::read::Response;

/// Compares the answer with the recorded candidates: the same items at the same positions with the same
/// scores, or nothing in both.
pub(super) fn is_the_answer(response: &Response, report: &mut Report) {
    report.values += 1;
    let answer = response.served.response.iter().flat_map(|answer| &answer.items);
    let answer = answer.map(|item| (item.position, item.item_id.as_str(), item.score));
    let recorded = served(response).into_iter();
    let recorded = recorded.map(|item| (item.position, item.item_id.as_str(), item.score));
    let bits = |list: &[(u32, &str, Option<f32>)]| -> Vec<(u32, String, Option<u32>)> {
        let bits = |(at, id, score): &(u32, &str, Option<f32>)| {
            (*at, (*id).to_owned(), score.map(f32::to_bits))
        };
        list.iter().map(bits).collect()
    };
    let (answer, recorded): (Vec<_>, Vec<_>) = (answer.collect(), recorded.collect());
    if bits(&answer) != bits(&recorded) {
        let shown = |list: Vec<_>| format!("{list:?}");
        report.differs(response, "the list of the answer", shown(answer), shown(recorded));
    }
}

/// Compares the order of the recorded candidates with the selector's: by score, and where there is none
/// in the order of the sources; what was left out comes after what was served. `false`: a candidate is
/// not in the indexes, so the record is damaged.
pub(super) fn is_in_order(
    response: &Response,
    indexes: &Indexes,
    query: &Query,
    report: &mut Report,
) -> bool {
    let Some(candidates) = in_source_order(response, indexes, query) else { return false };
    report.values += 1;
    let served: Vec<&str> = served(response).iter().map(|item| item.item_id.as_str()).collect();
    let chosen = top_k(candidates, served.len(), |candidate| candidate.score).selected;
    let chosen: Vec<&str> = chosen.iter().map(|item| item.item_id.as_str()).collect();
    let differs = served.iter().zip(&chosen).position(|(before, now)| before != now);
    if let Some(at) = differs {
        let what = format!("place {} of the answer", at + 1);
        report.differs(response, what, served[at], chosen[at]);
    }
    true
}

/// The served candidates by position.
fn served(response: &Response) -> Vec<&v1::ServedCandidate> {
    let candidates = response.served.candidates.iter();
    let mut served: Vec<_> = candidates.filter(|candidate| candidate.position > 0).collect();
    served.sort_by_key(|candidate| candidate.position);
    served
}

/// The recorded candidates in the order that the selector met them in: that of the fusion, or of the
/// trending list where the fallback answered.
fn in_source_order<'a>(
    response: &'a Response,
    indexes: &Indexes,
    query: &Query,
) -> Option<Vec<&'a v1::ServedCandidate>> {
    let ordinal = |candidate: &&v1::ServedCandidate| indexes.catalogue.ordinal(&candidate.item_id);
    let candidates: Vec<&v1::ServedCandidate> = response.served.candidates.iter().collect();
    let items: Vec<u32> = candidates.iter().map(ordinal).collect::<Option<_>>()?;
    let fell_back =
        response.served.response.as_ref().is_some_and(|answer| answer.tier() == v1::Tier::Popular);
    let mut placed: Vec<((f64, u32), &v1::ServedCandidate)> = if fell_back {
        let trending = source::candidates("trending", indexes, None, query, usize::MAX);
        let ranks: HashMap<u32, u32> = trending.iter().map(|hit| (hit.item, hit.rank)).collect();
        let rank = |item: &u32| ranks.get(item).map(|rank| (-f64::from(*rank), *item));
        items
            .iter()
            .map(rank)
            .zip(candidates)
            .map(|(rank, c)| Some((rank?, c)))
            .collect::<Option<_>>()?
    } else {
        items.iter().zip(candidates).map(|(item, c)| ((strength(c, *item), *item), c)).collect()
    };
    placed.sort_by(|a, b| pool::order(&a.0, &b.0));
    Some(placed.into_iter().map(|(_, candidate)| candidate).collect())
}

/// The recorded hits are in the order of the sources, as the fusion added them up.
fn strength(candidate: &v1::ServedCandidate, item: u32) -> f64 {
    let hit =
        |hit: &v1::SourceHit| Hit { item, score: hit.score, rank: hit.rank, share: hit.share };
    let hits: Vec<(&str, Hit)> =
        candidate.sources.iter().map(|found| (found.source.as_str(), hit(found))).collect();
    pool::total_strength(hits.iter().map(|(source, hit)| (*source, hit)))
}
