//! Interest vectors lie beside the states: what the sequence and the embedding give.

use std::collections::BTreeMap;
use std::sync::Arc;

use definitions::Operation;
use fold::{Embedding, EntityState, StateKey, Value};
use online::updater::{Updater, decode_vector, vector_key};
use record::partition_for_key;
use runtime::shutdown::Shutdown;

use crate::world::{PARTITIONS, World, block_on, settings};

struct Vectors {
    digest: u8,
    of: BTreeMap<String, Vec<f32>>,
}

impl Vectors {
    /// Items `i0`…`i9` are known, all others are not.
    fn new(digest: u8) -> Arc<Self> {
        let vector = |n: u8| (0..3).map(|i| f32::from((n * 7 + digest + i * 5) % 11)).collect();
        Arc::new(Self { digest, of: (0..10).map(|n| (format!("i{n}"), vector(n))).collect() })
    }
}

impl Embedding for Vectors {
    fn digest(&self) -> [u8; 32] {
        [self.digest; 32]
    }
    fn dimension(&self) -> usize {
        3
    }
    fn vector(&self, item: &str) -> Option<&[f32]> {
        self.of.get(item).map(Vec::as_slice)
    }
}

async fn update_with(world: &World, embedding: &Arc<Vectors>) {
    let (updater, handle) = Updater::open(settings(), world.parts()).await.unwrap();
    handle.set_embeddings(vec![Arc::new(Vectors { digest: 99, of: BTreeMap::new() })]);
    handle.set_embeddings(vec![Arc::clone(embedding) as Arc<dyn Embedding>]);
    updater.drain(Shutdown::never()).await.unwrap();
}

#[test]
fn a_vector_is_written_for_each_visitor_and_follows_the_embedding() {
    block_on(async {
        let mut world = World::new(41).await;
        let lane = world.lane("clickstream", "visitor");
        let feature = lane
            .features
            .iter()
            .position(|f| matches!(f.operation, Operation::InterestVector { .. }))
            .unwrap();
        for digest in [1, 2] {
            world.shop(400).await;
            let embedding = Vectors::new(digest);
            update_with(&world, &embedding).await;
            let mut vectors = 0;
            for n in 0..25 {
                let visitor = format!("v{n}");
                let partition = partition_for_key(visitor.as_bytes(), PARTITIONS);
                let key = StateKey::entity(&lane, &visitor);
                let derived = vector_key(&key, feature, &embedding.digest());
                let read = async |key: Vec<u8>| {
                    let found = world.store.read_derived(lane.id, partition, &[key]).await;
                    found.unwrap().values.remove(0)
                };
                let found = read(derived).await;
                let keys = [key.as_bytes().to_vec()];
                let state = world.store.read(lane.id, partition, &keys).await.unwrap().values;
                let Some(state) = &state[0] else { continue };
                let state = EntityState::decode(&lane, state).unwrap();
                let values = state.values(&lane, state.greatest(), Some(embedding.as_ref()));
                let expected = match &values[feature] {
                    Value::Vector(vector) => Some(vector.clone()),
                    _ => None,
                };
                let found = found.map(|bytes| decode_vector(&bytes, 3).unwrap());
                assert_eq!(found, expected, "{visitor}");
                vectors += usize::from(expected.is_some());
            }
            assert!(vectors > 15, "{vectors} visitors have a vector");
        }
    });
}
