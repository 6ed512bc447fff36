//! What is asked of the client of Aerospike's maintainers.
//!
//! Its futures are boxed. What a future does is compiled where somebody polls it by its own type, and that would be each program: the
//! client in all of them again, half of the time that they take to compile. Beside a request over the network the allocation is nothing.

use std::sync::Arc;

use aerospike::{
    AdminPolicy, BatchOperation, BatchPolicy, Client, ClientPolicy, Error, IndexMap, Node, PartitionFilter,
    QueryPolicy, Recordset, Statement,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

type Asked<'a, T> = BoxFuture<'a, Result<T, Error>>;

pub(crate) fn connect<'a>(policy: &'a ClientPolicy, hosts: &'a String) -> Asked<'a, Client> {
    Client::new(policy, hosts).boxed()
}

pub(crate) fn batch<'a>(
    client: &'a Client,
    policy: &'a BatchPolicy,
    rows: &'a mut [BatchOperation],
) -> Asked<'a, ()> {
    client.batch(policy, rows).boxed()
}

pub(crate) fn query<'a>(
    client: &'a Client,
    policy: &'a QueryPolicy,
    statement: Statement,
) -> Asked<'a, Arc<Recordset>> {
    client.query(policy, PartitionFilter::all(), statement).boxed()
}

pub(crate) fn info<'a>(
    node: &'a Node,
    policy: &'a AdminPolicy,
    commands: &'a [&'a str],
) -> Asked<'a, IndexMap<String, String>> {
    node.info(policy, commands).boxed()
}

pub(crate) fn close(client: &Client) -> Asked<'_, ()> {
    client.close().boxed()
}
