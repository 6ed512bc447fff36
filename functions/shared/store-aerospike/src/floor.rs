//! The floor, and letting go of what lies below.

use aerospike::expressions::{bin_exists, cond, int_bin, int_val, max};
use aerospike::operations::exp::{ExpWriteFlags, write_exp};
use aerospike::operations::get_bin;
use aerospike::{BatchDeletePolicy, BatchOperation, Key, Value};
use model::BucketStart;
use store::{Error, Head, Token};

use crate::error::damaged;
use crate::heads::whole_of;
use crate::keys::{Set, block_bytes, chunk_bytes};
use crate::rows::{reading, record, writing};
use crate::store::Shared;
use crate::values;

const KEY: &[u8] = b"floor";
const MINUTE: &str = "minute";
/// Bounds a request; a sealer lets a few minutes go at a tick.
const MINUTES_AT_ONCE: usize = 64;

impl Shared {
    pub(crate) async fn floor(&self) -> Result<Option<BucketStart>, Error> {
        let row = self
            .run_one(BatchOperation::read_ops(&reading(), self.floor_key(), vec![get_bin(MINUTE)]))
            .await?;
        let found = record(&row)?.map(|record| match values::bin(record, MINUTE) {
            Some(Value::Int(minutes)) => Ok(BucketStart::from_minutes(*minutes)),
            _ => Err(damaged("the floor")),
        });
        Ok(self.see_floor(found.transpose()?))
    }

    /// First the floor; then, of each minute below, the head, then its records, and at last its place in the calendar: who
    /// dies in between leaves something that is found again.
    pub(crate) async fn raise_floor(&self, floor: BucketStart) -> Result<(), Error> {
        // What a store forgot of its floor, it is told again.
        let floor = floor.max(self.seen_floor().unwrap_or(floor));
        let minutes = || int_val(floor.minutes());
        let highest = cond(vec![bin_exists(MINUTE), max(vec![int_bin(MINUTE), minutes()]), minutes()]);
        let raise = vec![write_exp(MINUTE, highest, ExpWriteFlags::DEFAULT)];
        self.run_one(BatchOperation::write(&writing(), self.floor_key(), raise)).await?;
        let Some(floor) = self.floor().await? else { return Err(damaged("the floor")) };
        let mut below = self.listed().await?;
        below.retain(|bucket| *bucket < floor);
        for buckets in below.chunks(MINUTES_AT_ONCE) {
            self.let_go(buckets).await?;
            self.strike(buckets, floor).await?;
        }
        Ok(())
    }

    /// Deletes these minutes, whose heads nobody may read any more.
    pub(crate) async fn let_go(&self, buckets: &[BucketStart]) -> Result<(), Error> {
        // A sealing that is under way cannot finish any more.
        let retoken = |&bucket: &BucketStart| self.retoken_row(bucket);
        let rows = self.run(buckets.iter().map(retoken).collect()).await?;
        let (mut named, mut tokens) = (Head::default(), Vec::new());
        for row in &rows {
            let Some(record) = record(row)? else { continue };
            let whole = whole_of(record)?;
            named.blocks.extend(whole.head.blocks);
            named.chunks.extend(whole.head.chunks);
            tokens.extend(whole.tokens.into_iter().map(|(token, _)| token));
        }
        for grave in self.graves(&tokens).await? {
            named.blocks.extend(grave.blocks);
            named.chunks.extend(grave.chunks);
        }
        self.delete(buckets.iter().map(|&bucket| self.keys.head(bucket)).collect()).await?;
        self.delete_named(&named, &tokens).await
    }

    /// Deletes blocks and chunks, and then the graves that told of them.
    pub(crate) async fn delete_named(&self, named: &Head, tokens: &[Token]) -> Result<(), Error> {
        let blocks = named.blocks.iter().map(|&key| self.keys.key(Set::Blocks, block_bytes(key)));
        let chunks = named.chunks.iter().map(|&key| self.keys.key(Set::Chunks, chunk_bytes(key)));
        self.delete(blocks.chain(chunks).collect()).await?;
        self.delete(tokens.iter().map(|&token| self.keys.grave(token)).collect()).await
    }

    /// Deletes these records; those that are gone already are no matter. A deleted record may come back when its server
    /// starts anew, so nothing may be wrong with one that is there.
    pub(crate) async fn delete(&self, mut keys: Vec<Key>) -> Result<(), Error> {
        keys.sort_unstable_by_key(Key::digest);
        keys.dedup();
        let delete = |key| BatchOperation::delete(&BatchDeletePolicy::default(), key);
        self.run(keys.into_iter().map(delete).collect()).await.map(drop)
    }

    fn floor_key(&self) -> Key {
        self.keys.key(Set::Floor, KEY)
    }
}
