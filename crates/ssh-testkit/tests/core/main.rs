//! The core as a whole, in memory: both roles, simulated links, virtual time, hostile peers. One
//! program, because linking is most of what a test of this crate costs.

mod algorithms;
mod channel_model;
mod channels;
mod compressed;
mod deadlines;
mod deadlock_model;
mod determinism;
mod entropy;
mod faults;
mod flow;
mod flow_control_model;
mod gate;
mod halves;
mod hostile;
mod injection;
mod limits;
mod login;
mod oracle;
mod pages;
mod rekey;
mod requests;
mod round_trips;
mod rows;
mod session;
mod shared_buffer;
mod standstill;
mod tokens;
mod windows;
