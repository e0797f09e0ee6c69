//! Smart proxies of kind `wharfinger`: three processes and more, as users have machines.

mod catching_up;
mod content;
mod figures;
mod kills;
mod network;
mod not_its_own;
mod rights;
mod through;
