//! The backend of the example keeps the contract of all backends.

#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

#[path = "../examples/memory_store.rs"]
mod memory_store;

use std::sync::Arc;

use memory_store::MemoryObjectStore;
use testkit::conformance::Subject;

async fn subject() -> Subject {
    let store = MemoryObjectStore::new(16 << 20).unwrap();
    let (staged, arrived) = (store.clone(), store.clone());
    Subject::new(Arc::new(store), "mem://suite/", 64 * 1024)
        .with_memory_budget(16 << 20)
        .with_list_page(100)
        .with_leftovers(move || {
            let names = staged.staged().into_iter().map(|(uri, _)| uri).collect();
            std::future::ready(names)
        })
        .with_arrived(move |uri| {
            let all = arrived.staged().into_iter();
            let sizes = all.filter(|(other, _)| other == uri).map(|(_, size)| size);
            std::future::ready(sizes.sum())
        })
}

testkit::conformance_tests!(subject);

#[tokio::test]
async fn the_example_does_what_it_says() {
    memory_store::run().await.unwrap();
}
