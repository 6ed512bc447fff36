//! The stores on Aerospike, Community Edition.
