//! What a hostile peer may try, by the layer that it tries it on. Names carry the ids of the attacks.

mod auth;
mod channel;
mod order;
mod packet;
