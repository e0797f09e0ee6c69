//! What users were promised, shown black box: the release binary, real clients, real kills.

mod access;
mod big_layers;
mod cli;
mod clients;
mod conformance;
mod credentials;
mod docs;
mod events;
mod first_push;
mod full_disk;
mod hostile;
mod kills;
mod limits;
mod long_lists;
mod long_push;
mod metrics;
mod openapi;
mod paused;
mod proxies;
mod pulls;
mod rest;
mod search;
mod shutdown;
mod tls;
mod tokens;
mod versions;
