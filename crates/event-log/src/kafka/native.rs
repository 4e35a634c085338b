//! What the safe client has no words for: a topic's id (KIP-516), brokers that are named to a client that has lost
//! all that it knew, and what an administrator logs.
//!
//! The id is what makes a recreated topic another log, so the adapter cannot do without it. It is
//! asked through librdkafka, which already speaks TLS and SASL to the brokers, with its admin call
//! DescribeTopics. Everything unsafe of this crate is in this file.

#![allow(unsafe_code, reason = "rdkafka 0.39 does not wrap these calls")]

use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr::{self, NonNull};
use std::time::Duration;

use rdkafka::bindings as raw;
use rdkafka::client::{Client, ClientContext};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use tokio::time::Instant;

/// How long an answer is waited for before the caller's own work is done.
const WAIT: Duration = Duration::from_millis(100);

/// Identity and size of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Described {
    pub(super) id: [u8; 16],
    pub(super) partitions: usize,
}

/// Something of librdkafka that is given back when it is dropped.
struct Owned<T>(NonNull<T>, unsafe extern "C" fn(*mut T));

impl<T> Owned<T> {
    fn new(pointer: *mut T, destroy: unsafe extern "C" fn(*mut T)) -> Option<Self> {
        NonNull::new(pointer).map(|pointer| Self(pointer, destroy))
    }

    fn get(&self) -> *mut T {
        self.0.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from the constructor that belongs to this destructor, and nobody
        // else destroys it.
        unsafe { (self.1)(self.get()) }
    }
}

/// Names brokers (`HOST:PORT[,HOST:PORT…]`) to a client, as first ones. Gives how many they are.
pub(super) fn add_brokers<C: ClientContext>(client: &Client<C>, servers: &str) -> usize {
    // A client was created with them, so there is no NUL among them.
    let Ok(servers) = CString::new(servers) else { return 0 };
    // SAFETY: the client outlives this function, being borrowed; the names are copied.
    let brokers = unsafe { raw::rd_kafka_brokers_add(client.native_ptr(), servers.as_ptr()) };
    usize::try_from(brokers).unwrap_or_default()
}

/// Asks for a topic's id and partitions; waits for the answer, at most about `timeout`, and does what `meanwhile`
/// says before and again and again.
///
/// # Errors
/// The broker's error, or librdkafka's own (`OperationTimedOut` among them).
pub(super) fn describe<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    timeout: Duration,
    meanwhile: impl Fn(),
) -> Result<Described, RDKafkaErrorCode> {
    let name = CString::new(topic).map_err(|_| RDKafkaErrorCode::InvalidTopic)?;
    let timeout_ms = c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX);
    let api = raw::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
    let client = client.native_ptr();
    let failed = RDKafkaErrorCode::Fail;
    // SAFETY: `client` outlives this function, being borrowed; what is created is owned here and
    // destroyed after its last use (in reverse order, the event before its queue); the names are
    // copied by `of_topic_names`; `errstr` has the size that is told.
    unsafe {
        let queue = Owned::new(raw::rd_kafka_queue_new(client), raw::rd_kafka_queue_destroy);
        let queue = queue.ok_or(failed)?;
        let options = raw::rd_kafka_AdminOptions_new(client, api);
        let options = Owned::new(options, raw::rd_kafka_AdminOptions_destroy).ok_or(failed)?;
        let mut errstr: [c_char; 256] = [0; 256];
        let (text, size) = (errstr.as_mut_ptr(), errstr.len());
        check(raw::rd_kafka_AdminOptions_set_request_timeout(
            options.get(),
            timeout_ms,
            text,
            size,
        ))?;
        let mut names = [name.as_ptr()];
        let topics = raw::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        let topics = Owned::new(topics, raw::rd_kafka_TopicCollection_destroy).ok_or(failed)?;
        raw::rd_kafka_DescribeTopics(client, topics.get(), options.get(), queue.get());
        // librdkafka answers by itself when the time is up; the rest is for a late thread.
        let deadline = Instant::now() + timeout + Duration::from_secs(1);
        let event = wait(&queue, deadline, meanwhile)?;
        check(raw::rd_kafka_event_error(event.get()))?;
        described(event.get())
    }
}

/// Waits for a queue's next event.
fn wait(
    queue: &Owned<raw::rd_kafka_queue_t>,
    deadline: Instant,
    meanwhile: impl Fn(),
) -> Result<Owned<raw::rd_kafka_event_t>, RDKafkaErrorCode> {
    loop {
        meanwhile();
        if let Some(event) = poll(queue, WAIT) {
            return Ok(event);
        }
        if Instant::now() >= deadline {
            return Err(RDKafkaErrorCode::OperationTimedOut);
        }
    }
}

fn poll(
    queue: &Owned<raw::rd_kafka_queue_t>,
    wait: Duration,
) -> Option<Owned<raw::rd_kafka_event_t>> {
    let wait_ms = c_int::try_from(wait.as_millis()).unwrap_or(c_int::MAX);
    // SAFETY: the queue lives, being borrowed; the event is owned here.
    let event = unsafe { raw::rd_kafka_queue_poll(queue.get(), wait_ms) };
    Owned::new(event, raw::rd_kafka_event_destroy)
}

/// Passes on what a client that nobody polls has logged, and its errors; without this librdkafka would keep them for
/// ever.
pub(super) fn take_lines<C: ClientContext>(client: &Client<C>) {
    // SAFETY: the client outlives this function, being borrowed; the reference to its queue is given back.
    let queue = unsafe { raw::rd_kafka_queue_get_main(client.native_ptr()) };
    let Some(queue) = Owned::new(queue, raw::rd_kafka_queue_destroy) else { return };
    while let Some(event) = poll(&queue, Duration::ZERO) {
        let event = event.get();
        let (mut facility, mut line, mut level) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the event lives; where it is a line or an error, the texts are its own, and read before it is
        // destroyed.
        unsafe {
            let text = |text| CStr::from_ptr(text).to_string_lossy();
            match raw::rd_kafka_event_type(event) {
                raw::RD_KAFKA_EVENT_LOG => {
                    let (facility_at, line_at) = (&raw mut facility, &raw mut line);
                    if raw::rd_kafka_event_log(event, facility_at, line_at, &raw mut level) == 0 {
                        let (facility, line) = (text(facility), text(line));
                        client.context().log(level_of(level), facility.trim(), line.trim());
                    }
                }
                raw::RD_KAFKA_EVENT_ERROR => {
                    let error = KafkaError::Global(raw::rd_kafka_event_error(event).into());
                    let reason = text(raw::rd_kafka_event_error_string(event));
                    client.context().error(error, reason.trim());
                }
                _ => {}
            }
        }
    }
}

/// A syslog level.
fn level_of(level: c_int) -> RDKafkaLogLevel {
    use RDKafkaLogLevel as Level;
    match level {
        0 => Level::Emerg,
        1 => Level::Alert,
        2 => Level::Critical,
        3 => Level::Error,
        4 => Level::Warning,
        5 => Level::Notice,
        6 => Level::Info,
        _ => Level::Debug,
    }
}

/// # Safety
/// `event` is a live event.
unsafe fn described(event: *mut raw::rd_kafka_event_t) -> Result<Described, RDKafkaErrorCode> {
    let failed = RDKafkaErrorCode::Fail;
    // SAFETY: the caller's; what is read here belongs to the event and is only read, and counts are
    // checked before they are relied on.
    unsafe {
        let result = raw::rd_kafka_event_DescribeTopics_result(event);
        if result.is_null() {
            return Err(failed);
        }
        let mut count = 0;
        let topics = raw::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        if topics.is_null() || count != 1 {
            return Err(failed);
        }
        let topic = *topics;
        check(raw::rd_kafka_error_code(raw::rd_kafka_TopicDescription_error(topic)))?;
        let id = raw::rd_kafka_TopicDescription_topic_id(topic);
        if id.is_null() {
            return Err(failed);
        }
        let mut partitions = 0;
        raw::rd_kafka_TopicDescription_partitions(topic, &raw mut partitions);
        let most = raw::rd_kafka_Uuid_most_significant_bits(id).to_be_bytes();
        let least = raw::rd_kafka_Uuid_least_significant_bits(id).to_be_bytes();
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&most);
        bytes[8..].copy_from_slice(&least);
        Ok(Described { id: bytes, partitions })
    }
}

fn check(code: RDKafkaRespErr) -> Result<(), RDKafkaErrorCode> {
    match code {
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        other => Err(other.into()),
    }
}
