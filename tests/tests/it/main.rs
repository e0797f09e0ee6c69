//! What users were promised, shown black box: the release binary, real clients, real kills.

mod access;
mod big_layers;
mod cli;
mod conformance;
mod first_push;
mod full_disk;
mod hostile;
mod kills;
mod paused;
mod pulls;
mod rest;
mod shutdown;
mod tokens;
mod versions;
