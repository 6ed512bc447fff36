//! Delivery: hands the events of a log to a sink, at least once each, until they are acknowledged.
