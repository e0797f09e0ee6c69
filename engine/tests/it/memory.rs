use engine::store::memory::Memory;

engine::store_conformance!(async || (Memory::default(), ()));
