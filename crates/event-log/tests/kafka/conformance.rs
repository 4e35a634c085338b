use crate::harness::Broker;

event_log::event_log_conformance!(
    Broker::shared(),
    ignore = "needs Apache Kafka: tests/run starts it"
);
