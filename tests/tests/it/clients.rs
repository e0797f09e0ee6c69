//! The clients people use: real ones where they can be had, and the requests of the others, replayed in their order.

mod buildah;
mod containerd;
mod crane;
mod docker;
mod oras;
mod skopeo;
mod wire;
