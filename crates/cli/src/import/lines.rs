//! From a file's lines to events and dead letters.

use std::sync::Arc;

use definitions::Source;
use definitions::decode::Decoder;
use record::{AppendTime, Offset, Partition, Record};
use serde_json::Value;

use super::{DeadLetter, Event, File, Parsed, Refusal, Row, taobao, yoochoose};
use crate::args::Format;

/// Lines that are decoded together.
const BATCH: usize = 8192;
/// What some programs write before a file's first character to say that it is UTF-8. At the start it is
/// no part of the first line; anywhere else it is data.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// A detail may quote what was found; a person reads no more than this.
const DETAIL_BYTES_MAX: usize = 500;
/// Longest piece of a line that a dead letter keeps.
const ORIGINAL_BYTES_MAX: usize = 64 << 10;

/// Reads files of one format for one source.
struct Reader {
    format: Format,
    source: Arc<Source>,
}

/// Reads all files.
pub(crate) fn read(
    format: Format,
    source: &Arc<Source>,
    files: &[File],
    mut progress: impl FnMut(u64),
) -> Parsed {
    let reader = Reader { format, source: Arc::clone(source) };
    let mut parsed = Parsed::default();
    for (number, file) in files.iter().enumerate() {
        reader.file(number, file, &mut parsed, &mut progress);
    }
    parsed.events.sort_unstable_by_key(|event| (event.at_us, event.place));
    parsed
}

impl Reader {
    fn file(
        &self,
        number: usize,
        file: &File,
        parsed: &mut Parsed,
        progress: &mut impl FnMut(u64),
    ) {
        let digest = blake3::hash(&file.bytes).to_hex();
        let digest = &digest[..16];
        let name = file.path.display().to_string();
        let mut pending: Vec<(u64, &[u8], Record)> = Vec::with_capacity(BATCH);
        let content = file.bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&file.bytes);
        let ends_torn = content.last().is_some_and(|byte| *byte != b'\n');
        let last = content.split(|byte| *byte == b'\n').count() as u64;
        let dead = |line: u64, bytes: &[u8], (reason, mut detail): Refusal| {
            detail.truncate(detail.floor_char_boundary(DETAIL_BYTES_MAX));
            if line == last && ends_torn {
                detail.push_str("; the file ends here without a newline, so the line may be torn");
            }
            let (id, file) = (format!("{digest}:{line}"), name.clone());
            DeadLetter { id, file, line, reason, detail, original: original(bytes) }
        };
        for (line, bytes) in (1..).zip(content.split(|byte| *byte == b'\n')) {
            let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
            if bytes.is_empty() {
                // After the last newline there is no line any more.
                parsed.blank += u64::from(line < last);
                continue;
            }
            if line == 1 && self.is_header(bytes) {
                parsed.headers += 1;
                continue;
            }
            match self.record(bytes, digest, line) {
                Ok(record) => pending.push((line, bytes, record)),
                Err(refusal) => parsed.dead_letters.push(dead(line, bytes, refusal)),
            }
            if pending.len() == BATCH {
                self.judge(number, &mut pending, parsed, dead);
            }
            progress(bytes.len() as u64 + 1);
        }
        self.judge(number, &mut pending, parsed, dead);
    }

    fn is_header(&self, bytes: &[u8]) -> bool {
        self.format == Format::Yoochoose
            && std::str::from_utf8(bytes).is_ok_and(yoochoose::is_header)
    }

    /// The line as a record of the source.
    fn record(&self, bytes: &[u8], digest: &str, line: u64) -> Result<Record, Refusal> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| ("malformed", format!("not UTF-8: {error}")))?;
        let (key, value) = match self.format {
            Format::Yoochoose => self.rewrite(&yoochoose::parse(text)?, digest, line),
            Format::Taobao => self.rewrite(&taobao::parse(text)?, digest, line),
            Format::Jsonl => (self.json_key(text)?, bytes.to_vec()),
        };
        let (partition, offset) = (Partition(0), Offset(line));
        // Judged against the end of time: whether an event lies in the future is the log's to say.
        Ok(Record {
            partition,
            offset,
            append_time: AppendTime(i64::MAX / 1000),
            key,
            value,
            trace: None,
        })
    }

    fn rewrite(&self, row: &Row<'_>, digest: &str, line: u64) -> (Vec<u8>, Vec<u8>) {
        let mut object = serde_json::Map::new();
        let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
        put("event_id", format!("{digest}:{line}").into());
        put("event_time", row.at_us.into());
        put("visitor_id", row.visitor.into());
        if let Some(session) = row.session {
            put("session_id", session.into());
        }
        put("kind", row.kind.into());
        put("item_id", row.item.into());
        if let Some(category) = row.category {
            put("category", category.into());
        }
        let value = serde_json::to_vec(&object).expect("text and integers are JSON");
        (row.visitor.as_bytes().to_vec(), value)
    }

    /// A line of JSON keeps its bytes; only its key is looked up.
    fn json_key(&self, text: &str) -> Result<Vec<u8>, Refusal> {
        let object: serde_json::Map<String, Value> = serde_json::from_str(text)
            .map_err(|error| ("malformed", format!("no JSON object: {error}")))?;
        let name = &self.source.columns[self.source.key].name;
        match object.get(name).and_then(Value::as_str) {
            Some(key) if !key.is_empty() => Ok(key.as_bytes().to_vec()),
            _ => Err((
                "missing_key",
                format!("`{name}` is absent or no text; expected an identifier"),
            )),
        }
    }

    /// The source's decoder has the last word.
    fn judge(
        &self,
        number: usize,
        pending: &mut Vec<(u64, &[u8], Record)>,
        parsed: &mut Parsed,
        dead: impl Fn(u64, &[u8], Refusal) -> DeadLetter,
    ) {
        let (mut places, mut records) = (Vec::new(), Vec::new());
        for (line, bytes, record) in pending.drain(..) {
            places.push((line, bytes));
            records.push(record);
        }
        let decoder = Decoder::new(Arc::clone(&self.source), Partition(0), 1);
        let batch = decoder.decode(&records);
        let mut rejections = batch.rejections.into_iter().peekable();
        for (row, (record, (line, bytes))) in records.into_iter().zip(places).enumerate() {
            if let Some(rejection) = rejections.next_if(|rejection| rejection.row == row) {
                let refusal = (rejection.reason.as_str(), rejection.detail);
                parsed.dead_letters.push(dead(line, bytes, refusal));
                continue;
            }
            let at_us = batch.event_times[row].0;
            let place = (number, line);
            parsed.events.push(Event { at_us, place, key: record.key, value: record.value });
        }
    }
}

fn original(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(ORIGINAL_BYTES_MAX)]).into_owned()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn parsed(format: Format, text: &str) -> Parsed {
        let definitions =
            crate::definition_files::load(Path::new(crate::settings::DEFINITIONS)).unwrap();
        let mut sources = definitions.sources.iter();
        let source = sources.find(|source| source.name == "clickstream").unwrap();
        let file = File { path: "file".into(), bytes: text.as_bytes().to_vec() };
        read(format, source, &[file], |_| {})
    }

    const MARK: &str = "\u{feff}";

    #[test]
    fn a_byte_order_mark_at_the_start_is_no_part_of_the_first_line() {
        let json = r#"{"event_id":"e","event_time":1700000000000000,"visitor_id":"7","kind":"view","item_id":"9"}"#;
        for (format, line) in [
            (Format::Taobao, "7,9,100,pv,1511658000"),
            (Format::Yoochoose, "7\t9\t1511658000"),
            (Format::Jsonl, json),
        ] {
            let found = parsed(format, &format!("{MARK}{line}\n"));
            assert_eq!(found.dead_letters, [], "{format:?}");
            assert_eq!(found.events[0].key, b"7", "{format:?}");
            assert_eq!(found.events[0].place.1, 1, "{format:?}");
        }
        let found = parsed(Format::Yoochoose, &format!("{MARK}SessionId\tItemId\tTime\n1\t2\t3"));
        assert_eq!((found.headers, found.events.len(), found.dead_letters.len()), (1, 0, 1));
    }

    #[test]
    fn a_byte_order_mark_elsewhere_is_data() {
        let line = "7,9,100,pv,1511658000";
        let found = parsed(Format::Taobao, &format!("{line}\n{MARK}{line}\n"));
        assert_eq!(found.events[1].key, format!("{MARK}7").as_bytes());
    }

    #[test]
    fn a_long_line_is_not_said_at_length() {
        let found = parsed(Format::Taobao, &format!("7,9,100,{},1511658000", "é".repeat(40_000)));
        assert!(found.dead_letters[0].detail.len() < 700, "{}", found.dead_letters[0].detail);
    }

    #[test]
    fn every_line_is_counted() {
        let line = "7,9,100,pv,1511658000";
        let found = parsed(Format::Taobao, &format!("\n{line}\r\n\r\n\nno\n"));
        assert_eq!((found.events.len(), found.dead_letters.len(), found.blank), (1, 1, 3));
        assert_eq!(parsed(Format::Taobao, "").blank, 0);
        assert_eq!(parsed(Format::Taobao, &format!("{MARK}\n")).blank, 1);
    }
}
