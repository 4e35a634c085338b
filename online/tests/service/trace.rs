//! A call's W3C trace context goes into the log with what the call leaves there.

use std::time::Duration;

use prost::Message;
use record::{Offset, Partition, Record, Trace};
use tonic::Request;
use wire::v1;
use wire::v1::recommender_client::RecommenderClient;
use wire::v1::tracker_client::TrackerClient;

use crate::world::{Setup, World, ask};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn with_context<T>(message: T, values: &[(&'static str, &str)]) -> Request<T> {
    let mut request = Request::new(message);
    for (name, value) in values {
        request.metadata_mut().append(*name, value.parse().unwrap());
    }
    request
}

async fn read(world: &World, topic: &str, partition: Partition, at: Offset) -> Record {
    let mut reader = world.log.reader(topic, partition, at).await.unwrap();
    reader.next(1, Duration::from_secs(5)).await.unwrap().remove(0)
}

/// What `Track` appends of one event that comes with these values.
async fn tracked(world: &World, values: &[(&'static str, &str)]) -> Box<Trace> {
    let mut tracker = TrackerClient::new(world.channel.clone());
    let message = v1::TrackRequest { events: vec![world.click("ann", "shoe1")] };
    let response = tracker.track(with_context(message, values)).await.unwrap().into_inner();
    let position = response.statuses[0].position.clone().unwrap();
    let (partition, at) = (Partition(position.partition), Offset(position.next - 1));
    read(world, &position.topic, partition, at).await.trace.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_tracked_belongs_to_its_callers_trace() {
    let world = World::start(Setup::default()).await;
    let trace = tracked(&world, &[("traceparent", PARENT), ("tracestate", "shop=1")]).await;
    let callers = Trace::parse(PARENT, ["shop=1"]).unwrap();
    assert_eq!(*trace, callers.child(trace.span), "the same but for the span, which is ours");
    assert_ne!(trace.span, callers.span);
    let again = tracked(&world, &[("traceparent", PARENT)]).await;
    assert_eq!((again.id, &*again.state), (callers.id, ""));
    assert_ne!(again.span, trace.span, "another call");
    // What is wrong is no error: a trace begins here, and another one for each call.
    let mut begun = vec![tracked(&world, &[]).await.id];
    for wrong in ["", "00-4bf9", &PARENT.to_uppercase(), "ff-not-a-context"] {
        let trace = tracked(&world, &[("traceparent", wrong), ("tracestate", "shop=1")]).await;
        assert_eq!((trace.flags, &*trace.state), (0, ""), "{wrong}");
        assert!(trace.id != callers.id && !begun.contains(&trace.id), "{wrong}");
        begun.push(trace.id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_on_record_belongs_to_its_callers_trace_and_says_nothing_of_it() {
    let world = World::start(Setup::default()).await;
    let mut recommender = RecommenderClient::new(world.channel.clone());
    let request = with_context(ask("ann"), &[("traceparent", PARENT), ("tracestate", "shop=1")]);
    let answer = recommender.recommend(request).await.unwrap().into_inner();
    let partitions = world.log.topic("served").await.unwrap().partitions;
    let partition = record::partition_for_key(b"ann", partitions);
    let served = read(&world, "served", partition, Offset(0)).await;
    let trace = served.trace.unwrap();
    assert_eq!((trace.id, &*trace.state), (Trace::parse(PARENT, []).unwrap().id, "shop=1"));
    let served = v1::Served::decode(served.value.as_slice()).unwrap();
    assert_eq!(served.response, Some(answer), "the answer as it was given");
}
