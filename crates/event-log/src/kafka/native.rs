//! The one question to the brokers that the safe client has no words for: a topic's id (KIP-516).
//!
//! The id is what makes a recreated topic another log, so the adapter cannot do without it. It is
//! asked through librdkafka, which already speaks TLS and SASL to the brokers, with its admin call
//! DescribeTopics. Everything unsafe of this crate is in this file.

#![allow(unsafe_code, reason = "rdkafka 0.39 does not wrap rd_kafka_DescribeTopics")]

use std::ffi::{CString, c_char, c_int};
use std::ptr::NonNull;
use std::time::Duration;

use rdkafka::bindings as raw;
use rdkafka::client::{Client, ClientContext};
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};

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

/// Asks for a topic's id and partitions; waits for the answer, at most about `timeout`.
///
/// # Errors
/// The broker's error, or librdkafka's own (`OperationTimedOut` among them).
pub(super) fn describe<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    timeout: Duration,
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
        let event = raw::rd_kafka_queue_poll(queue.get(), timeout_ms.saturating_add(1_000));
        let event = Owned::new(event, raw::rd_kafka_event_destroy);
        let event = event.ok_or(RDKafkaErrorCode::OperationTimedOut)?;
        check(raw::rd_kafka_event_error(event.get()))?;
        described(event.get())
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
