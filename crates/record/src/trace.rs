//! W3C Trace Context (<https://www.w3.org/TR/trace-context-2/>): which request a record came from.

use std::fmt;

/// Bytes of a `traceparent` of version 00.
const PARENT_BYTES: usize = 55;
/// Members of a list, by the standard.
const MEMBERS_MAX: usize = 32;
/// Bytes of a list that are passed on, the least that the standard asks for.
const STATE_BYTES_MAX: usize = 512;
/// A member that is longer goes first when a list is too long.
const MEMBER_BYTES_MAX: usize = 128;
/// The flags that version 00 knows: sampled, and random.
const FLAGS: u8 = 0b11;

/// The context of a request, and of what it leaves in the log. It travels beside records, and nothing is
/// computed from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The trace, the same from the first caller to the last.
    pub id: [u8; 16],
    /// The span in it that this is passed on by.
    pub span: [u8; 8],
    /// Flags, as far as version 00 knows them.
    pub flags: u8,
    /// `tracestate`: what tracing systems told each other; empty where there is none.
    pub state: String,
}

/// Bytes in lower-case hexadecimal.
#[derive(Clone, Copy)]
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Trace {
    /// A trace that begins here.
    #[must_use]
    pub fn new(id: [u8; 16], span: [u8; 8]) -> Self {
        Self { id, span, flags: 0, state: String::new() }
    }

    /// The context that a caller sent: the one value of `traceparent`, and all values of `tracestate` in their
    /// order. A list that is wrong is left out. `None`: `traceparent` is not what the standard says, so whoever
    /// was called begins a trace.
    #[must_use]
    pub fn parse<'a>(parent: &str, states: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let bytes = parent.as_bytes();
        let version = hex::<1>(bytes.get(..2)?)?[0];
        // What comes after version 00 may be longer, but begins alike.
        let fits = match version {
            0 => bytes.len() == PARENT_BYTES,
            0xff => false,
            _ => bytes.get(PARENT_BYTES).is_none_or(|next| *next == b'-'),
        };
        let dashes = [2, 35, 52].into_iter().all(|at| bytes.get(at) == Some(&b'-'));
        if !fits || !dashes {
            return None;
        }
        let id: [u8; 16] = hex(bytes.get(3..35)?)?;
        let span: [u8; 8] = hex(bytes.get(36..52)?)?;
        let [flags] = hex(bytes.get(53..PARENT_BYTES)?)?;
        if id == [0; 16] || span == [0; 8] {
            return None;
        }
        let state = state(states).unwrap_or_default();
        Some(Self { id, span, flags: flags & FLAGS, state })
    }

    /// The same trace, passed on by another span.
    #[must_use]
    pub fn child(&self, span: [u8; 8]) -> Self {
        Self { span, ..self.clone() }
    }

    /// The value of `traceparent`.
    #[must_use]
    pub fn parent(&self) -> String {
        format!("00-{}-{}-{:02x}", Hex(&self.id), Hex(&self.span), self.flags)
    }
}

/// Lower-case hexadecimal of exactly so many bytes.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// The lists as one, shortened to what is passed on. `None`: not what the standard says.
fn state<'a>(states: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut members: Vec<&str> = Vec::new();
    for list in states {
        for member in list.split(',').map(|member| member.trim_matches([' ', '\t'])) {
            if member.is_empty() {
                continue;
            }
            let (key, value) = member.split_once('=')?;
            let known = |other: &&str| other.split_once('=').is_some_and(|(of, _)| of == key);
            if !is_key(key) || !is_value(value) || members.iter().any(known) {
                return None;
            }
            members.push(member);
            if members.len() > MEMBERS_MAX {
                return None;
            }
        }
    }
    let length = |members: &[&str]| {
        members.iter().map(|member| member.len() + 1).sum::<usize>().saturating_sub(1)
    };
    if length(&members) > STATE_BYTES_MAX {
        members.retain(|member| member.len() <= MEMBER_BYTES_MAX);
    }
    // The last ones are the oldest.
    while length(&members) > STATE_BYTES_MAX {
        members.pop();
    }
    Some(members.join(","))
}

fn is_key(key: &str) -> bool {
    let first = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let other = |c: char| first(c) || matches!(c, '_' | '-' | '*' | '/');
    let is = |text: &str, most: usize| {
        text.len() <= most && text.starts_with(first) && text.chars().all(other)
    };
    match key.split_once('@') {
        None => is(key, 256),
        Some((tenant, system)) => is(tenant, 241) && is(system, 14),
    }
}

fn is_value(value: &str) -> bool {
    let fits = |c: char| matches!(c, ' '..='~') && c != ',' && c != '=';
    (1..=256).contains(&value.len()) && value.chars().all(fits) && !value.ends_with(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn state_of(states: &[&str]) -> String {
        Trace::parse(PARENT, states.iter().copied()).expect("the parent is right").state
    }

    #[test]
    fn a_context_is_read_and_written_as_the_standard_says() {
        let trace = Trace::parse(PARENT, ["rojo=00f067aa0ba902b7 , congo=t61rcWkgMzE"]).unwrap();
        assert_eq!(trace.parent(), PARENT);
        assert_eq!(trace.state, "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE");
        let child = trace.child([7; 8]);
        assert_eq!(child.parent(), "00-4bf92f3577b34da6a3ce929d0e0e4736-0707070707070707-01");
        assert_eq!((child.id, child.state), (trace.id, trace.state));
        // A later version: what is known of it goes on as version 00.
        for later in ["cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff", &{
            let parent = PARENT.replacen("00", "cc", 1);
            format!("{parent}-what-the-future-will-be-like")
        }] {
            let trace = Trace::parse(later, []).unwrap();
            assert!(trace.parent().starts_with("00-4bf9"), "{later}");
            assert_eq!(trace.flags & 1, 1);
            assert!(trace.flags <= FLAGS);
        }
    }

    #[test]
    fn what_is_no_context_begins_a_trace() {
        for wrong in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473x-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.more",
            " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902é-01",
        ] {
            assert_eq!(Trace::parse(wrong, ["a=1"]), None, "{wrong:?}");
        }
    }

    #[test]
    fn lists_are_joined_and_wrong_ones_are_left_out_alone() {
        assert_eq!(state_of(&["a=1,,b=2 ", "\tc@d=3", ""]), "a=1,b=2,c@d=3");
        assert_eq!(state_of(&[]), "");
        let many: Vec<String> = (0..33).map(|n| format!("k{n}=v")).collect();
        assert_eq!(state_of(&[&many[..32].join(",")]).split(',').count(), 32);
        let long = format!("{}=v", "k".repeat(257));
        let too_long = format!("k={}", "v".repeat(257));
        for wrong in [
            "a",
            "a=",
            "=1",
            "A=1",
            "a=1,a=2",
            "a=é",
            "a b=1",
            "a@=1",
            "@b=1",
            "a@b@c=1",
            "a=b=c",
            &many.join(","),
            &long,
            &too_long,
        ] {
            assert_eq!(state_of(&[wrong, "z=1"]), "", "{wrong:?}");
        }
    }

    #[test]
    fn a_list_that_is_too_long_loses_long_members_and_then_the_last_ones() {
        let (long, short) = ("v".repeat(200), "v".repeat(100));
        let list = format!("a={short},b={long},c={short},d={short},e={short},f={short}");
        let kept = state_of(&[&list]);
        assert!(kept.len() <= STATE_BYTES_MAX, "{}", kept.len());
        let keys: Vec<&str> = kept.split(',').map(|member| &member[..1]).collect();
        assert_eq!(keys, ["a", "c", "d", "e"]);
    }
}
