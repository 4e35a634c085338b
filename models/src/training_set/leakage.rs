//! No example may know its own future: what a training set was made with must lie before its spine.

use super::{Day, Error, Manifest};

/// Judges every day's index and the embedding against the spine.
pub(super) fn refuse(manifest: &Manifest) -> Result<(), Error> {
    manifest.days.iter().try_for_each(refuse_day)?;
    match &manifest.embedding {
        // An event at the very time may be the label itself, so the spine must begin strictly after.
        Some(e) if e.trained_to_us >= manifest.spine_from_us => Err(Error::EmbeddingFromFuture {
            digest: e.digest.clone(),
            trained_to_us: e.trained_to_us,
            spine_from_us: manifest.spine_from_us,
        }),
        _ => Ok(()),
    }
}

fn refuse_day(day: &Day) -> Result<(), Error> {
    if day.index_cut_us > day.spine_from_us {
        return Err(Error::IndexFromFuture {
            day: day.day.clone(),
            digest: day.index_digest.clone(),
            index_cut_us: day.index_cut_us,
            spine_from_us: day.spine_from_us,
        });
    }
    for (partition, &index_position) in &day.index_positions {
        // A partition that the spine does not name was not reached by it at all.
        let spine_position = day.spine_positions.get(partition).copied().unwrap_or(0);
        if index_position > spine_position {
            return Err(Error::IndexBeyondSpine {
                day: day.day.clone(),
                digest: day.index_digest.clone(),
                partition: partition.clone(),
                index_position,
                spine_position,
            });
        }
    }
    Ok(())
}

/// Judges that each position's time lies in a day that was judged: otherwise a manifest could name
/// harmless days and carry other rows.
pub(super) fn covers(manifest: &Manifest, positions_at_us: &[i64]) -> Result<(), Error> {
    let in_a_day = |at: i64| {
        manifest.days.iter().any(|day| (day.spine_from_us..=day.spine_to_us).contains(&at))
    };
    match positions_at_us.iter().find(|&&at| at < manifest.spine_from_us || !in_a_day(at)) {
        Some(&at_us) => Err(Error::OutsideDays { at_us, spine_from_us: manifest.spine_from_us }),
        None => Ok(()),
    }
}
