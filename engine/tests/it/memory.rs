use engine::prove::Faulty;
use engine::store::memory::Memory;

engine::store_conformance!(async || (Memory::default(), ()));

engine::store_conformance_on_a_small_disk!(async || {
    let store = Faulty::sound(Memory::default());
    (store.clone(), store, ())
});
