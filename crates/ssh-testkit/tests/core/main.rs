//! The core as a whole, in memory: both roles, simulated links, virtual time, hostile peers. One
//! program, because linking is most of what a test of this crate costs.

mod channel_model;
mod deadlines;
mod determinism;
mod entropy;
mod faults;
mod flow;
mod flow_control_model;
mod halves;
mod hostile;
mod injection;
mod limits;
mod oracle;
mod rekey;
mod rows;
mod session;
mod shared_buffer;
mod tokens;
mod windows;
