//! The port to names, over HTTP.
